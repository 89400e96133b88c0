// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
)

const namespace = "labguard-system"

var now = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// certificateFor signs itself for a name. It returns the PEM form too.
func certificateFor(t *testing.T, name string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), // the handshake uses the clock of the machine
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
}

// serve shakes hands with a certificate at the address that it returns, until the test ends.
func serve(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				_, _ = connection.Read(make([]byte, 1))
			}()
		}
	}()
	return listener.Addr().String()
}

// healthy are the objects of an installation that works.
func healthy(authority []byte) (*rbacv1.ClusterRole, *coordinationv1.Lease, *corev1.Secret) {
	anchor := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "anchor"}}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "labguard"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: new("labguard-1"), LeaseDurationSeconds: new(int32(15)), RenewTime: &metav1.MicroTime{Time: now.Add(-5 * time.Second)},
		},
	}
	return anchor, lease, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "authority"}, Data: map[string][]byte{corev1.TLSCertKey: authority},
	}
}

func TestWhatDoesNotWorkIsFoundAndNamed(t *testing.T) {
	certificate, authority := certificateFor(t, "labguard-webhook."+namespace+".svc")
	address := serve(t, certificate)
	_, another := certificateFor(t, "labguard-webhook."+namespace+".svc")
	misnamed, authorityOfMisnamed := certificateFor(t, "other."+namespace+".svc")
	anchor, lease, secret := healthy(authority)
	silent, released, empty, foreign, wrong := lease.DeepCopy(), lease.DeepCopy(), secret.DeepCopy(), secret.DeepCopy(), secret.DeepCopy()
	silent.Spec.RenewTime = &metav1.MicroTime{Time: now.Add(-16 * time.Second)}
	released.Spec.HolderIdentity = new("")
	empty.Data, foreign.Data, wrong.Data = nil, map[string][]byte{corev1.TLSCertKey: another}, map[string][]byte{corev1.TLSCertKey: authorityOfMisnamed}

	for name, test := range map[string]struct {
		objects []client.Object
		address string
		// wants are what the findings say, in their order; empty: nothing is wrong.
		wants [4]string
	}{
		"everything works": {[]client.Object{anchor, lease, secret}, address, [4]string{}},
		"nothing is there": {
			nil, address, [4]string{"", "apply labguard's manifests anew", "kubectl get pods -n " + namespace, "labguard makes it when it starts"},
		},
		"the leader is gone": {
			[]client.Object{anchor, silent, secret}, address, [4]string{"", "", "labguard-1 has not been heard of since 2027-03-01T11:59:44Z"},
		},
		"the lease was given back":       {[]client.Object{anchor, released, secret}, address, [4]string{"", "", "nobody holds the lease"}},
		"the authority is empty":         {[]client.Object{anchor, lease, empty}, address, [4]string{3: "has no certificate: delete it"}},
		"another authority has signed":   {[]client.Object{anchor, lease, foreign}, address, [4]string{3: "shake hands with the webhooks"}},
		"the certificate names another":  {[]client.Object{anchor, lease, wrong}, serve(t, misnamed), [4]string{3: "certificate is valid for other." + namespace}},
		"nobody listens at the Service":  {[]client.Object{anchor, lease, secret}, "127.0.0.1:1", [4]string{3: "does a network policy let this one through"}},
		"the anchor alone was taken out": {[]client.Object{lease, secret}, address, [4]string{1: "without it nothing is enforced"}},
	} {
		t.Run(name, func(t *testing.T) {
			findings := installation(t, test.address, test.objects).Look(t.Context())
			for i, finding := range findings {
				got := ""
				if finding.Err != nil {
					got = finding.Err.Error()
				}
				if (test.wants[i] == "") != (got == "") || !strings.Contains(got, test.wants[i]) {
					t.Errorf("%s got %q, want %q", finding.What, got, test.wants[i])
				}
			}
			if failed := Failed(findings); (failed == nil) != (test.wants == [4]string{}) {
				t.Errorf("failed: %v", failed)
			}
		})
	}
}

func installation(t *testing.T, address string, objects []client.Object) *Installation {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return &Installation{
		Reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), Clock: clocktesting.NewFakePassiveClock(now),
		Namespace: namespace, Anchor: "anchor", Lease: "labguard", Authority: "authority", Service: "labguard-webhook",
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}
