// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// noProviders is an AuthenticationConfiguration that adds nothing.
const noProviders = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: []\n"

// metricsEvery is slower than pollEvery: the API server has many metrics.
const metricsEvery = 200 * time.Millisecond

// authenticationTimeout is more than the minute after which the API server tries a
// configuration again whose providers did not answer.
const authenticationTimeout = 2 * time.Minute

// Authenticate has the API server take tokens as this AuthenticationConfiguration
// says, in YAML, and returns when it does: all its providers have to answer until
// then. The end of the test takes the configuration away again; the API server
// remembers for ten seconds more whose a token is. Tests that use it cannot run in
// parallel. The cluster has to be one WithAuthentication.
func Authenticate(tb testing.TB, configuration string) {
	tb.Helper()
	if shared.AuthenticationConfig == "" {
		tb.Fatal("the API server takes no configuration of authentication: its Main needs WithAuthentication")
	}
	if err := authenticate(tb.Context(), configuration); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := authenticate(context.WithoutCancel(tb.Context()), noProviders); err != nil {
			tb.Error(err)
		}
	})
}

func authenticate(ctx context.Context, configuration string) error {
	// A rename, so that the API server never reads half of it.
	temporary := shared.AuthenticationConfig + ".new"
	if err := os.WriteFile(temporary, []byte(configuration), 0o600); err != nil {
		return fmt.Errorf("configure authentication: %w", err)
	}
	if err := os.Rename(temporary, shared.AuthenticationConfig); err != nil {
		return fmt.Errorf("configure authentication: %w", err)
	}
	client, err := kubernetes.NewForConfig(Config())
	if err != nil {
		return fmt.Errorf("configure authentication: %w", err)
	}
	// The API server tells the hash of the configuration that is in use
	// (KEP-3331, apiserver_authentication_config_controller_last_config_info).
	used := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(configuration)))
	err = wait.PollUntilContextTimeout(ctx, metricsEvery, authenticationTimeout, true, func(ctx context.Context) (bool, error) {
		metrics, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		return strings.Contains(string(metrics), used), err
	})
	if err != nil {
		return fmt.Errorf("wait until the API server uses the configuration of authentication (see %s/logs/kube-apiserver.log): %w", shared.dir, err)
	}
	return nil
}

// TokenConfig is the access of whoever has this token.
func TokenConfig(token string) *rest.Config {
	config := rest.AnonymousClientConfig(Config())
	config.QPS = -1
	config.BearerToken = token
	return config
}

// CertificateConfig is the access of whoever has a client certificate of the
// cluster with this name and these groups: of somebody who breaks the glass, say.
// Such users have no claims. It is valid for an hour.
func CertificateConfig(tb testing.TB, user string, groups ...string) *rest.Config {
	tb.Helper()
	authority := filepath.Join(shared.dir, "pki", "ca")
	pair, err := tls.LoadX509KeyPair(authority+".crt", authority+".key")
	if err != nil {
		tb.Fatalf("make a certificate of %s: %v", user, err)
	}
	certificate, key, err := clientCertificate(pair, pkix.Name{CommonName: user, Organization: groups})
	if err != nil {
		tb.Fatalf("make a certificate of %s: %v", user, err)
	}
	config := rest.AnonymousClientConfig(Config())
	config.QPS = -1
	config.CertData, config.KeyData = certificate, key
	return config
}

func clientCertificate(authority tls.Certificate, subject pkix.Name) (certificate, private []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	const serialBits = 120
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, key.Public(), authority.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), nil
}
