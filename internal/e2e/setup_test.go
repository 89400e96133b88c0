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

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	system      = "labguard-system"
	trustDomain = "lab.example"
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, cluster.WithNode(), cluster.WithCRDs("../../config/crd/bases")))
}

// issuers are the certificate authority of the laboratory.
const issuers = `
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: lab-ca-bootstrap}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: lab-ca, namespace: cert-manager}
spec:
  isCA: true
  commonName: lab-ca
  secretName: lab-ca
  duration: 87600h
  privateKey: {algorithm: ECDSA, rotationPolicy: Always}
  issuerRef: {kind: ClusterIssuer, name: lab-ca-bootstrap}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: lab-ca}
spec:
  ca: {secretName: lab-ca}
`

// images are what the pods run, by digest.
type images struct{ manager, airlock, lab string }

// build makes the images of labguard and of the laboratory from this checkout, once.
var build = sync.OnceValues(func() (images, error) {
	var made images
	for program, reference := range map[string]*string{"cmd/manager": &made.manager, "cmd/airlock": &made.airlock, "internal/e2e/lab/program": &made.lab} {
		var err error
		if *reference, err = cluster.Image(program); err != nil {
			return made, err
		}
	}
	return made, nil
})

// install applies labguard's manifests with the images of this checkout, and waits until the operator is ready. All tests share it.
var install = sync.OnceValue(func() error {
	made, err := build()
	if err != nil {
		return err
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	for _, words := range [][]string{
		{"apply", "--server-side", "-k", filepath.Join(root, "config/crd")},
		{"apply", "-f", "-"},
		{"wait", "--for=condition=Ready", "certificate/lab-ca", "-n", "cert-manager", "--timeout=120s"},
	} {
		if _, err := kubectlWith(issuers, words...); err != nil {
			return err
		}
	}
	roots, err := authority("lab-ca")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Join(root, "bin"), "e2e-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := writeOverlay(dir, made, configuration(made, roots)); err != nil {
		return err
	}
	if _, err := kubectlWith("", "apply", "--server-side", "-k", dir); err != nil {
		return err
	}
	_, err = kubectlWith("", "rollout", "status", "-n", system, "deployment/labguard", "--timeout=180s")
	return err
})

// configuration is what the platform team of the laboratory decides.
func configuration(made images, roots string) string {
	return fmt.Sprintf("trustDomain: %s\nissuers:\n- {kind: ClusterIssuer, name: lab-ca}\nairlock: {image: %q}\ntrustDomains:\n- name: %s\n  roots: |\n%s",
		trustDomain, made.airlock, trustDomain, indent(roots))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

// writeOverlay writes a kustomization over config/default: the images, the configuration, and one replica, as there is one node.
func writeOverlay(dir string, made images, configuration string) error {
	name, digest, _ := strings.Cut(made.manager, "@")
	overlay := fmt.Sprintf(`resources: [../../config/default]
images:
- {name: labguard, newName: %q, digest: %q}
replicas:
- {name: labguard, count: 1}
patches:
- path: configuration.yaml
`, name, digest)
	patch := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: labguard, namespace: labguard-system}\ndata:\n  configuration.yaml: |\n" + indent(configuration)
	for file, content := range map[string]string{"kustomization.yaml": overlay, "configuration.yaml": patch} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// authority is the certificate of the CA in a Secret of the namespace cert-manager, as PEM.
func authority(secret string) (string, error) {
	encoded, err := kubectlWith("", "get", "secret", secret, "-n", "cert-manager", "-o", `jsonpath={.data.tls\.crt}`)
	if err != nil {
		return "", err
	}
	content, err := base64.StdEncoding.DecodeString(encoded)
	return string(content), err
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
