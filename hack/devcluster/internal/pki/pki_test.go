// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestCertificatesAreKeptWhileTheirAuthorityIs(t *testing.T) {
	dir := t.TempDir()
	issue := func() *Leaf {
		t.Helper()
		ca, err := NewAuthority(dir, "ca")
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := ca.Issue(dir, "leaf", Subject{Name: "someone", Groups: []string{"some"}, Hosts: []string{"127.0.0.1", "localhost"}})
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.certificate)
		for _, host := range []string{"127.0.0.1", "localhost"} {
			if _, err := leaf.certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
				t.Errorf("verify for %s: %v", host, err)
			}
		}
		return leaf
	}
	first := issue()
	if again := issue(); !again.certificate.Equal(first.certificate) {
		t.Error("a valid certificate was replaced")
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if after := issue(); after.certificate.Equal(first.certificate) {
		t.Error("a certificate of a lost authority was kept")
	}
}

func TestClientsAreNoServers(t *testing.T) {
	dir := t.TempDir()
	ca, err := NewAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Issue(dir, "client", Subject{Name: "someone"})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	if _, err := client.certificate.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("a client certificate passes as that of a server")
	}
}

func TestKeysAndKubeconfigsAreForTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	ca, err := NewAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(dir, "leaf", Subject{Name: "someone"})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, key := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "extra.key")
	if err := WriteKubeconfig(kubeconfig, "https://127.0.0.1:1", ca, leaf); err != nil {
		t.Fatal(err)
	}
	if err := NewKey(key); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{ca.KeyFile, leaf.KeyFile, kubeconfig, key} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}
