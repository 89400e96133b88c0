// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	root       = "../.."
	module     = "hack/flux"
	fluxSystem = "flux-system"
	// endsWithin is for a controller that has nothing to do any more.
	endsWithin = time.Minute
	// lastWords is how many lines of its log are shown if a test has failed.
	lastWords = 60
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

// inFolder runs the go command in a folder of the checkout and returns what it prints.
func inFolder(folder string, arguments ...string) (string, error) {
	command := exec.Command("go", arguments...)
	command.Dir = filepath.Join(root, folder)
	command.Env = append(command.Environ(), "GOWORK=off")
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("go %s in %s: %w", strings.Join(arguments, " "), folder, err)
	}
	return strings.TrimSpace(string(output)), nil
}

// build compiles the controller, unless it is there, and returns its path.
var build = sync.OnceValues(func() (string, error) {
	if _, err := inFolder(".", "run", "./hack/build", "flux"); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(filepath.Join(root, "bin", "kustomize-controller"))
})

// definitions are the folders with the kinds of the two controllers, each in the Go module of its controller. That of source-controller is as old as its API
// in the module of the other one.
func definitions() ([]string, error) {
	ours, err := inFolder(module, "list", "-m", "-f", "{{.Dir}}", "github.com/fluxcd/kustomize-controller")
	if err != nil {
		return nil, err
	}
	version, err := inFolder(module, "list", "-m", "-f", "{{.Version}}", "github.com/fluxcd/source-controller/api")
	if err != nil {
		return nil, err
	}
	downloaded, err := inFolder(module, "mod", "download", "-json", "github.com/fluxcd/source-controller@"+version)
	if err != nil {
		return nil, err
	}
	var source struct{ Dir string }
	if err := json.Unmarshal([]byte(downloaded), &source); err != nil {
		return nil, err
	}
	return []string{filepath.Join(ours, "config", "crd", "bases"), filepath.Join(source.Dir, "config", "crd", "bases")}, nil
}

// controller is a running kustomize-controller and what it asks of the API server.
type controller struct {
	*meter
	log string
}

// start installs the kinds of Flux and runs kustomize-controller until the test ends, under the ServiceAccount that Flux gives it.
func start(t *testing.T) *controller {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	folders, err := definitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		kubectl(t, "apply", "--server-side", "-f", folder)
		kubectl(t, "wait", "--for=condition=Established", "--timeout=60s", "-f", folder)
	}
	install(t)
	dir := t.TempDir()
	c := &controller{meter: newMeter(t, cluster.ServiceAccountConfig(t, fluxSystem, "kustomize-controller")), log: filepath.Join(dir, "log")}
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: c.url}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", Namespace: fluxSystem}
	config.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*config, filepath.Join(dir, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(c.log)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--metrics-addr=0", "--health-addr=0", "--no-remote-bases",
		"--concurrent=8", "--kube-api-qps=500", "--kube-api-burst=1000")
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"), "TMPDIR="+dir, "RUNTIME_NAMESPACE="+fluxSystem)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // how it ended is in its log
		close(ended)
	}()
	t.Cleanup(func() { c.end(t, command, ended) })
	return c
}

// install makes the namespace of Flux, and the ServiceAccount of its controller, which is an administrator of the cluster as with `flux install`.
func install(t *testing.T) {
	t.Helper()
	for _, words := range [][]string{
		{"create", "namespace", fluxSystem}, {"create", "serviceaccount", "kustomize-controller", "-n", fluxSystem},
		{"create", "clusterrolebinding", "cluster-reconciler", "--clusterrole=cluster-admin", "--serviceaccount=" + fluxSystem + ":kustomize-controller"},
	} {
		if _, err := cluster.Kubectl(t, words...); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatal(err)
		}
	}
}

func (c *controller) end(t *testing.T, command *exec.Cmd, ended <-chan struct{}) {
	t.Helper()
	_ = command.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-ended:
	case <-time.After(endsWithin):
		_ = command.Process.Kill()
		t.Errorf("kustomize-controller has not ended after %s", endsWithin)
	}
	if !t.Failed() {
		return
	}
	content, err := os.ReadFile(c.log)
	lines := strings.Split(string(content), "\n")
	t.Logf("kustomize-controller's last words (%v):\n%s", err, strings.Join(lines[max(0, len(lines)-lastWords):], "\n"))
}

func kubectl(t testing.TB, words ...string) string {
	t.Helper()
	output, err := cluster.Kubectl(t, words...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}
