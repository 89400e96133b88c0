// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/internal/desired/gate"
)

// noopWord makes this program the no-op webhook.
const noopWord = "no-op"

// serveNoop is the no-op webhook, until its stdin is closed: the webhook server of labguard, with a handler that allows everything at once.
func serveNoop(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("a folder with the certificate and a port are needed")
	}
	port, err := strconv.Atoi(arguments[1])
	if err != nil {
		return fmt.Errorf("read the port: %w", err)
	}
	ctrl.SetLogger(logr.Discard())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	server := webhook.NewServer(webhook.Options{
		Host: "127.0.0.1", Port: port, CertDir: arguments[0],
		TLSOpts: []func(*tls.Config){func(config *tls.Config) { config.MinVersion = tls.VersionTLS13 }},
	})
	allow := admission.HandlerFunc(func(context.Context, admission.Request) admission.Response { return admission.Allowed("") })
	server.Register(gate.MutatePath, &webhook.Admission{Handler: allow})
	server.Register(gate.ValidatePath, &webhook.Admission{Handler: allow})
	return server.Start(ctx)
}

// startNoop registers the no-op webhook as labguard registers its own, for another namespace, and starts it. That nobody gets in before it runs shows
// that it is called.
func (s *stage) startNoop(ctx context.Context) error {
	bundle, err := s.writeCertificate()
	if err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	if err := s.register(ctx, gate.Config{
		Namespaces: []string{noop}, LabguardUser: "nobody", CABundle: bundle, Endpoint: gate.Endpoint{URL: "https://localhost:" + port},
	}); err != nil {
		return err
	}
	if err := s.until(ctx, "the API server calls the no-op webhook", func(ctx context.Context) error {
		if _, err := s.create(ctx, noop); err == nil {
			return errors.New("a write passes")
		}
		return nil
	}); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	command := exec.CommandContext(context.WithoutCancel(ctx), self, noopWord, s.dir, port)
	if _, err := command.StdinPipe(); err != nil { // stays open as long as this process lives
		return fmt.Errorf("start the no-op webhook: %w", err)
	}
	if s.noop, err = s.start("no-op", command); err != nil {
		return err
	}
	return s.until(ctx, "the no-op webhook answers", func(ctx context.Context) error {
		_, err := s.create(ctx, noop)
		return errors.Join(err, s.noop.alive())
	})
}

func (s *stage) register(ctx context.Context, config gate.Config) error {
	options := metav1.ApplyOptions{FieldManager: "bench", Force: true}
	const name = "bench-no-op"
	for _, configuration := range gate.MutatingWebhooks(config) {
		configuration.WithName(name).Labels = nil // labguard takes what has its label for its own
		if _, err := s.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Apply(ctx, configuration, options); err != nil {
			return fmt.Errorf("register the no-op webhook: %w", err)
		}
	}
	for _, configuration := range gate.ValidatingWebhooks(config) {
		configuration.WithName(name).Labels = nil
		if _, err := s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Apply(ctx, configuration, options); err != nil {
			return fmt.Errorf("register the no-op webhook: %w", err)
		}
	}
	return nil
}

// writeCertificate writes a certificate for localhost that signs itself, as the webhook server reads it, and returns it.
func (s *stage) writeCertificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
	for name, content := range map[string][]byte{"tls.crt": bundle, "tls.key": private} {
		if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
			return nil, fmt.Errorf("write the certificate of the no-op webhook: %w", err)
		}
	}
	return bundle, nil
}
