// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/testutil/node"
)

// served are the certificates that the sidecars of an app show, one for each pod.
func (l *lab) served(app string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for _, pod := range l.podsOf(app) {
		certificate, err := l.servedBy(pod.Status.PodIP)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	return found, nil
}

func (l *lab) servedBy(address string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.Context()), 5*time.Second)
	defer cancel()
	connection, err := node.Dial(ctx, "tcp", address+":15100")
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	// It shows its certificate before it asks for ours, and that is all there is to see.
	secured := tls.Client(connection, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nothing is sent, and the certificate is judged by the test
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured.ConnectionState().PeerCertificates[0], nil
}

// renew has cert-manager issue a certificate anew, as cmctl renew does.
func (l *lab) renew(certificate string) {
	l.Helper()
	l.until("certificate "+certificate+" is to be issued anew", func() error {
		var object map[string]any
		if err := json.Unmarshal([]byte(l.kubectl("get", "certificate", certificate, "-o", "json")), &object); err != nil {
			return err
		}
		status, _ := object["status"].(map[string]any)
		conditions, _ := status["conditions"].([]any)
		status["conditions"] = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by a test", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		})
		encoded, err := json.Marshal(object)
		if err != nil {
			return err
		}
		_, err = kubectlWith(string(encoded), "replace", "--subresource=status", "-f", "-")
		return err
	})
}

// unbroken fails the test if a message had to be sent again while something was done.
func (l *lab) unbroken(what string, do func()) {
	l.Helper()
	count := func() (again int64) {
		for _, app := range clients {
			stats, err := l.stats(app)
			if err != nil {
				l.Fatal(err)
			}
			again += stats.Again
		}
		return again
	}
	before := count()
	do()
	for _, app := range clients {
		l.flows(app)
	}
	if after := count(); after != before {
		l.Errorf("%s: %d messages had to be sent again", what, after-before)
	}
}

// renewed renews the certificate of the information system under load.
func renewed(t *testing.T, l *lab) {
	l.unbroken("the renewal", func() {
		before, err := l.served("lis")
		if err != nil || len(before) == 0 {
			t.Fatalf("%v, %v", before, err)
		}
		begun := time.Now()
		l.renew("labguard-lis-identity")
		l.until("all sidecars show the new certificate", func() error {
			now, err := l.served("lis")
			if err != nil {
				return err
			}
			for _, one := range now {
				if one.SerialNumber.Cmp(before[0].SerialNumber) == 0 {
					return fmt.Errorf("one shows %x still", one.SerialNumber)
				}
			}
			return nil
		})
		t.Logf("from the renewal to the new certificate on the wire of all pods: %s", time.Since(begun).Round(100*time.Millisecond))
	})
}

const secondAuthority = `
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: lab-ca-2, namespace: cert-manager}
spec:
  isCA: true
  commonName: lab-ca-2
  secretName: lab-ca-2
  duration: 87600h
  privateKey: {algorithm: ECDSA, rotationPolicy: Always}
  issuerRef: {kind: ClusterIssuer, name: lab-ca-bootstrap}
`

// configure gives labguard these roots and restarts it.
func (l *lab) configure(t *testing.T, roots string, more ...string) {
	l.Helper()
	var config corev1.ConfigMap
	if err := l.Get(t.Context(), client.ObjectKey{Namespace: system, Name: "labguard"}, &config); err != nil {
		t.Fatal(err)
	}
	config.Data["configuration.yaml"] = configuration(shared.airlock, roots) + strings.Join(more, "")
	if err := l.Update(t.Context(), &config); err != nil {
		t.Fatal(err)
	}
	must(t, "", "rollout", "restart", "-n", system, "deployment/labguard")
	must(t, "", "rollout", "status", "-n", system, "deployment/labguard", "--timeout=120s")
}

// published is how many roots vouch for the trust domain.
func published(t *testing.T) int {
	t.Helper()
	return strings.Count(must(t, "", "get", "clustertrustbundle", "labguard-trust-"+trustDomain, "-o", "jsonpath={.spec.trustBundle}"), "BEGIN CERTIFICATE")
}

// rootChanged changes the certificate authority of the laboratory under load, in the steps of docs/certificates.md.
func rootChanged(t *testing.T, l *lab) {
	must(t, secondAuthority, "apply", "-f", "-")
	must(t, "", "wait", "--for=condition=Ready", "certificate/lab-ca-2", "-n", "cert-manager", "--timeout=60s")
	first, second := authority(t, "lab-ca"), authority(t, "lab-ca-2")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(second))
	l.unbroken("the change of the root", func() {
		l.configure(t, first+second)
		l.until("every sidecar has the new root", func() error { return everySidecarHasTheBundle(t) })
		must(t, "", "patch", "clusterissuer", "lab-ca", "--type=merge", "-p", `{"spec":{"ca":{"secretName":"lab-ca-2"}}}`)
		// labguard does this by itself, an hour after a certificate was issued at the earliest; these are minutes old.
		for _, name := range all {
			l.renew("labguard-" + name + "-identity")
		}
		own := *l
		own.namespace = system
		own.renew("labguard-operator")
		l.configure(t, second)
		for _, app := range servers {
			l.until("the certificates of "+app+" are under the new root", func() error {
				now, err := l.served(app)
				if err != nil {
					return err
				}
				for _, one := range now {
					if _, err := one.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if published(t) != 2 {
			t.Errorf("the old root has left while connections stand on it: %d published", published(t))
		}
	})
	t.Logf("what keeps the old root: %s", must(t, "", "get", "clustertrustbundle", "labguard-trust-"+trustDomain, "-o", `jsonpath={.metadata.annotations.labguard\.dev/leaving-roots}`))
	l.replace(all...)
	l.kubectl("delete", "job", "nightly", "--ignore-not-found")
	l.renew("labguard-nightly-identity")
	l.within(6*time.Minute, "the old root has left", func() error {
		if published(t) != 1 {
			return fmt.Errorf("%s", must(t, "", "get", "clustertrustbundle", "labguard-trust-"+trustDomain, "-o", `jsonpath={.metadata.annotations.labguard\.dev/leaving-roots}`))
		}
		return nil
	})
	for _, app := range clients {
		l.flows(app)
	}
}

const metricsReader = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: e2e-metrics, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-metrics}
rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-metrics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-metrics}
subjects: [{kind: ServiceAccount, name: e2e-metrics, namespace: default}]
`

// everySidecarHasTheBundle asks the metric that a person would look at.
func everySidecarHasTheBundle(t *testing.T) error {
	t.Helper()
	must(t, metricsReader, "apply", "-f", "-")
	token := strings.TrimSpace(must(t, "", "create", "token", "e2e-metrics", "-n", "default"))
	address := must(t, "", "get", "pod", "-n", system, "-l", "app.kubernetes.io/name=labguard", "--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].status.podIP}")
	reach := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: node.Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // its certificate is its own
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+":8443/metrics", http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := reach.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.SplitSeq(string(content), "\n") {
		if strings.HasPrefix(line, `labguard_trust_bundle_pods{bundle="labguard-trust-`+trustDomain) {
			lines = append(lines, line)
		}
	}
	found := strings.Join(lines, "; ")
	if !strings.Contains(found, `state="behind"} 0`) || !strings.Contains(found, `state="unknown"} 0`) {
		return fmt.Errorf("%s", found)
	}
	return nil
}
