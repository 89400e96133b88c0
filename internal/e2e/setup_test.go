// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/image"
	"github.com/labguard/labguard/internal/testutil/node"
)

const (
	system      = "labguard-system"
	trustDomain = "lab.example"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	// Streams that are ended once they have proved to be open are no errors.
	klog.SetLogger(logr.Discard())
	os.Exit(node.Main(m, cluster.WithCRDs("../../config/crd/bases"), cluster.WithAuthentication()))
}

// images are what the pods run, by digest.
type images struct{ manager, airlock, lab string }

// shared is what all tests stand on: the images, and labguard at work.
var shared struct {
	sync.Mutex
	images
	installed bool
}

// installed makes the images of labguard and of the laboratory from this checkout, applies labguard's manifests, and waits until the operator is ready. The first
// test that asks does it.
func installed(t *testing.T) images {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.installed {
		return shared.images
	}
	shared.images = images{
		manager: pushed(t, "../../cmd/manager", "labguard", "65532"),
		airlock: pushed(t, "../../cmd/airlock", "airlock", ""),
		lab:     pushed(t, "./lab/program", "lab", ""),
	}
	must(t, "", "apply", "--server-side", "-k", "../../config/crd")
	must(t, "", "apply", "-f", "../../hack/lab-ca.yaml")
	must(t, "", "wait", "--for=condition=Ready", "certificate/lab-ca", "-n", "cert-manager", "--timeout=120s")
	dir, err := os.MkdirTemp("../../bin", "e2e-") //nolint:usetesting // an overlay names its base by a relative path
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	writeOverlay(t, dir, shared.images, configuration(shared.airlock, authority(t, "lab-ca")))
	must(t, "", "apply", "--server-side", "--force-conflicts", "-k", dir)
	must(t, "", "rollout", "status", "-n", system, "deployment/labguard", "--timeout=180s")
	shared.installed = true
	return shared.images
}

// pushed makes the image of a program of this checkout. It returns the image by digest.
func pushed(t *testing.T, program, repository, user string) string {
	t.Helper()
	return pushedProgram(t, image.Program{Package: program, Repository: repository, User: user})
}

func pushedProgram(t *testing.T, made image.Program) string {
	t.Helper()
	tagged := node.Push(t, made)
	_, path, _ := strings.Cut(tagged, "/")
	reference, err := name.ParseReference(cluster.RegistryHost()+"/"+path, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	found, err := remote.Head(reference, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatalf("look %s up: %v", tagged, err)
	}
	repositoryOnly, _, _ := strings.Cut(path, ":")
	return cluster.Node().Registry + "/" + repositoryOnly + "@" + found.Digest.String()
}

// configuration is what the platform team of the laboratory decides.
func configuration(airlock, roots string) string {
	return fmt.Sprintf("trustDomain: %s\nissuers:\n- {kind: ClusterIssuer, name: lab-ca}\nairlock: {image: %q}\ntrustDomains:\n- name: %s\n  roots: |\n%s",
		trustDomain, airlock, trustDomain, indent(roots))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

// writeOverlay writes a kustomization over config/default: the images, the configuration, and one replica, as there is one node.
func writeOverlay(t *testing.T, dir string, made images, configuration string) {
	t.Helper()
	repository, digest, _ := strings.Cut(made.manager, "@")
	overlay := fmt.Sprintf(`resources: [../../config/default]
images:
- {name: labguard, newName: %q, digest: %q}
replicas:
- {name: labguard, count: 1}
patches:
- path: configuration.yaml
`, repository, digest)
	patch := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: labguard, namespace: labguard-system}\ndata:\n  configuration.yaml: |\n" + indent(configuration)
	for file, content := range map[string]string{"kustomization.yaml": overlay, "configuration.yaml": patch} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// authority is the certificate of the CA in a Secret of the namespace cert-manager, as PEM.
func authority(t *testing.T, secret string) string {
	t.Helper()
	content, err := base64.StdEncoding.DecodeString(must(t, "", "get", "secret", secret, "-n", "cert-manager", "-o", `jsonpath={.data.tls\.crt}`))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func must(t *testing.T, input string, words ...string) string {
	t.Helper()
	output, err := kubectlWith(input, words...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

// kubectlWith runs kubectl as administrator with something at its standard input.
func kubectlWith(input string, words ...string) (string, error) {
	command := exec.Command("../../bin/devcluster", append([]string{"kubectl", "--kubeconfig=" + cluster.Kubeconfig()}, words...)...)
	command.Stdin = strings.NewReader(input)
	output, err := command.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(words, " "), err, exit.Stderr)
	}
	return string(output), err
}
