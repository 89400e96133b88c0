// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	pollEvery = 50 * time.Millisecond
	// patience bounds waits that normally end within seconds; it is long for machines that do much else.
	patience = 2 * time.Minute
)

// Options are what a test may want of the operator besides the defaults.
type Options struct {
	// Configuration is the configuration file; empty: Configuration() with the registry of the cluster.
	Configuration string
	// Arguments are more flags.
	Arguments []string
}

// Operator is one running manager.
type Operator struct {
	options Options
	dir     string
	binary  string
	port    int
	probes  int
	process *exec.Cmd
	done    chan struct{}
}

// Configuration is a configuration file that knows the registry of the cluster and the ClusterIssuer lab-ca.
func Configuration() string {
	return "trustDomain: lab.example\nissuers:\n- {kind: ClusterIssuer, name: lab-ca}\nadmission: {wait: 2s}\nregistries:\n" +
		"- {host: \"" + cluster.RegistryHost() + "\", insecure: true, allowedAddresses: [127.0.0.0/8]}\n"
}

var install = sync.OnceValue(func() error {
	for _, dir := range []string{"config/crd", "config/rbac"} {
		command := exec.Command(filepath.Join(root(), "bin", "devcluster"), "kubectl", "apply", "--server-side", "-k", filepath.Join(root(), dir))
		command.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig())
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apply %s: %w: %s", dir, err, output)
		}
	}
	return nil
})

var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(root(), "bin", "manager-under-test")
	command := exec.Command("go", "build", "-o", binary, "./cmd/manager")
	command.Dir = root()
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the manager: %w: %s", err, output)
	}
	return binary, nil
})

// root is the checkout: the directory above the working directory of the test that has go.mod.
func root() string {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// Install applies labguard's manifests: its namespace, the definitions of its kinds, its ServiceAccount and the rights of it.
func Install(t testing.TB) {
	t.Helper()
	if _, err := cluster.Kubectl(t, "get", "namespace", "labguard-system"); err != nil {
		if _, err := cluster.Kubectl(t, "create", "namespace", "labguard-system"); err != nil {
			t.Fatalf("create the namespace of labguard: %v", err)
		}
	}
	if err := install(); err != nil {
		t.Fatalf("install labguard's manifests: %v", err)
	}
}

// Start installs labguard's manifests, starts the manager and waits until it is ready. It stops with the test.
func Start(t testing.TB, options Options) *Operator {
	t.Helper()
	Install(t)
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if options.Configuration == "" {
		options.Configuration = Configuration()
	}
	o := &Operator{options: options, dir: t.TempDir(), binary: binary, port: freePort(t), probes: freePort(t)}
	o.prepare(t)
	t.Cleanup(func() { o.Kill(t) })
	o.Run(t)
	return o
}

// prepare writes the kubeconfig of labguard's ServiceAccount and the configuration.
func (o *Operator) prepare(t testing.TB) {
	t.Helper()
	access := cluster.ServiceAccountConfig(t, "labguard-system", "labguard")
	if err := clientcmd.WriteToFile(kubeconfig(access), o.path("kubeconfig")); err != nil {
		t.Fatalf("write the kubeconfig of labguard: %v", err)
	}
	if err := os.WriteFile(o.path("configuration.yaml"), []byte(o.options.Configuration), 0o600); err != nil {
		t.Fatalf("write the configuration of labguard: %v", err)
	}
}

func kubeconfig(access *rest.Config) clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{
		Server: access.Host, CertificateAuthorityData: access.CAData, CertificateAuthority: access.CAFile,
	}
	config.AuthInfos["labguard"] = &clientcmdapi.AuthInfo{Token: access.BearerToken}
	config.Contexts["labguard"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "labguard"}
	config.CurrentContext = "labguard"
	return *config
}

func (o *Operator) path(name string) string { return filepath.Join(o.dir, name) }

// Log is what the manager has written so far.
func (o *Operator) Log() string {
	content, err := os.ReadFile(o.path("log"))
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// Run starts the manager, again after Stop or Kill, and waits until it is ready.
func (o *Operator) Run(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(o.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("open the log of the manager: %v", err)
	}
	o.process = exec.Command(o.binary, append([]string{
		"--kubeconfig=" + o.path("kubeconfig"), "--config=" + o.path("configuration.yaml"),
		"--webhook-url=https://localhost:" + strconv.Itoa(o.port), "--webhook-host=127.0.0.1", "--webhook-port=" + strconv.Itoa(o.port),
		"--metrics-bind-address=0", "--health-probe-bind-address=127.0.0.1:" + strconv.Itoa(o.probes), "--leader-elect=false",
	}, o.options.Arguments...)...)
	o.process.Stdout, o.process.Stderr = log, log
	if err := o.process.Start(); err != nil {
		t.Fatalf("start the manager: %v", err)
	}
	o.done = make(chan struct{})
	go func(process *exec.Cmd, done chan struct{}) {
		_ = process.Wait() // how it ended is in its log
		_ = log.Close()
		close(done)
	}(o.process, o.done)
	o.awaitReady(t)
}

func (o *Operator) awaitReady(t testing.TB) {
	t.Helper()
	url := "http://127.0.0.1:" + strconv.Itoa(o.probes) + "/readyz"
	err := wait.PollUntilContextTimeout(context.WithoutCancel(t.Context()), pollEvery, patience, true, func(ctx context.Context) (bool, error) {
		select {
		case <-o.done:
			return false, fmt.Errorf("the manager has ended")
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // not listening yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	})
	if err != nil {
		t.Fatalf("wait for the manager: %v\n%s", err, o.Log())
	}
}

// Once runs the program of the manager as an administrator of the cluster, with flags that make it end by itself, and returns what it prints.
func (o *Operator) Once(t testing.TB, arguments ...string) (string, error) {
	t.Helper()
	return o.once(t, cluster.Kubeconfig(), arguments)
}

// OnceAsItself is Once with the rights of labguard's ServiceAccount.
func (o *Operator) OnceAsItself(t testing.TB, arguments ...string) (string, error) {
	t.Helper()
	return o.once(t, o.path("kubeconfig"), arguments)
}

func (o *Operator) once(t testing.TB, kubeconfig string, arguments []string) (string, error) {
	command := exec.CommandContext(context.WithoutCancel(t.Context()), o.binary, append([]string{"--kubeconfig=" + kubeconfig}, arguments...)...)
	output, err := command.CombinedOutput()
	return string(output), err
}

// Kill ends the manager at once, as a node that dies does.
func (o *Operator) Kill(t testing.TB) { o.end(t, syscall.SIGKILL) }

// Stop ends the manager as Kubernetes does, and waits until it is gone.
func (o *Operator) Stop(t testing.TB) { o.end(t, syscall.SIGTERM) }

func (o *Operator) end(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if o.process == nil {
		return
	}
	_ = o.process.Process.Signal(signal) // it may have ended by itself
	select {
	case <-o.done:
	case <-time.After(patience):
		t.Errorf("the manager does not end after %s", signal)
	}
	o.process = nil
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
