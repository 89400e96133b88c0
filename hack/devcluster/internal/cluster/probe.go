// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// probeTimeout bounds one look at one component.
const probeTimeout = 2 * time.Second

// A probe succeeds once a component can be used.
type probe func(context.Context) error

// probeURL succeeds when url answers 200 OK.
func probeURL(url string, tlsConfig *tls.Config) probe {
	client := &http.Client{
		Timeout:   probeTimeout,
		Transport: &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true},
	}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode == http.StatusOK {
			return nil
		}
		const enough = 1024
		body, _ := io.ReadAll(io.LimitReader(response.Body, enough))
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
}

// anyCertificate is for the health of programs that sign their own certificate
// at each start. They are told nothing and believed about their health only.
func anyCertificate() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
}

// etcdTLS is how etcd is asked: it answers nobody without a certificate.
func (ids *identities) etcdTLS() (*tls.Config, error) {
	return clientTLS(ids.etcdCA.CertFile, ids.etcdClient.CertFile, ids.etcdClient.KeyFile)
}

// serverTLS is how the API server is asked for its health.
func (ids *identities) serverTLS() (*tls.Config, error) {
	return clientTLS(ids.ca.CertFile, "", "")
}

func clientTLS(caFile, certFile, keyFile string) (*tls.Config, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(ca) {
		return nil, errors.New("read authority: no certificate in " + caFile)
	}
	if certFile != "" {
		certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

// probeControllers succeeds when the controllers of kube-controller-manager do
// their work: its own health only says that its process runs.
func probeControllers(client kubernetes.Interface) probe {
	return func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
