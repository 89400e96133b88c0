// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	trustDomain = "bench.example"
	clientID    = "spiffe://bench.example/ns/bench/labworkload/client"
	serverID    = "spiffe://bench.example/ns/bench/labworkload/server"

	authorityFile = "ca.pem"
)

// writeCertificates writes ca.pem, and for client and server each <name>.crt, <name>.key and, for haproxy, both in <name>.pem.
func writeCertificates(directory string) error {
	now := time.Now()
	template := func(serial int64) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	root := template(1)
	root.Subject = pkix.Name{CommonName: "bench"}
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	if err != nil {
		return err
	}
	if root, err = x509.ParseCertificate(raw); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(directory, authorityFile), encode("CERTIFICATE", raw), 0o600); err != nil {
		return err
	}
	for i, id := range []string{clientID, serverID} {
		name, err := url.Parse(id)
		if err != nil {
			return err
		}
		leaf := template(int64(i) + 2)
		leaf.URIs, leaf.KeyUsage = []*url.URL{name}, x509.KeyUsageDigitalSignature
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		if err := writeLeaf(filepath.Join(directory, filepath.Base(name.Path)), leaf, root, rootKey); err != nil {
			return err
		}
	}
	return nil
}

func writeLeaf(path string, leaf, root *x509.Certificate, rootKey *ecdsa.PrivateKey) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	raw, err := x509.CreateCertificate(rand.Reader, leaf, root, &key.PublicKey, rootKey)
	if err != nil {
		return err
	}
	encodedKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certificate, private := encode("CERTIFICATE", raw), encode("PRIVATE KEY", encodedKey)
	for ending, content := range map[string][]byte{".crt": certificate, ".key": private, ".pem": slices.Concat(certificate, private)} {
		if err := os.WriteFile(path+ending, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func encode(kind string, raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw})
}
