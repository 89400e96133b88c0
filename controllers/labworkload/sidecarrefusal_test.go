// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// rootOf is an authority that signs itself; its certificate stands for a leaf as well.
func rootOf(t *testing.T, serial int64) (posture.Root, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: today, NotAfter: today.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots, err := posture.ParseRoots(string(text), 1)
	if err != nil {
		t.Fatal(err)
	}
	return roots[0], text
}

// What peers refuse never falls back to plaintext: no pod gets a sidecar with such a certificate.
func TestNoPodGetsACertificateThatPeersRefuse(t *testing.T) {
	ours, chain := rootOf(t, 1)
	other, _ := rootOf(t, 2)
	tests := map[string]struct {
		roots   []posture.Root
		from    time.Time
		chain   []byte
		selects bool
		says    string
	}{
		"it chains to a root":              {roots: []posture.Root{other, ours}, from: today, chain: chain},
		"it chains to none":                {roots: []posture.Root{other}, from: today, chain: chain, says: "does not chain"},
		"nothing is known of it":           {roots: []posture.Root{other}, from: today},
		"no roots are known":               {from: today, chain: chain},
		"an issuer that sets it back":      {roots: []posture.Root{ours}, from: today.Add(-time.Hour), chain: chain},
		"one of an earlier LabWorkload":    {roots: []posture.Root{ours}, from: today.AddDate(0, 0, -1), chain: chain, says: "began long before"},
		"the same, and pods have it":       {roots: []posture.Root{ours}, from: today.AddDate(0, 0, -1), chain: chain, selects: true, says: "began long before"},
		"pods have it already and live on": {roots: []posture.Root{other}, from: today, chain: chain, selects: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := certmanagerv1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			s := strictScope(t)
			s.workload.CreationTimestamp = metav1.NewTime(today)
			s.sidecar.profile = &v1alpha1.AirlockProfile{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(today)}}
			if test.selects {
				s.sidecar.profile.Spec.Selector = &s.workload.Spec.Selector
			}
			from := metav1.NewTime(test.from)
			s.certificate.issued, s.certificate.object = true, &certmanagerv1.Certificate{
				ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "labguard-lis-identity"}, Status: certmanagerv1.CertificateStatus{NotBefore: &from, Revision: new(1)},
			}
			live := fake.NewClientBuilder().WithScheme(scheme)
			if test.chain != nil {
				live.WithObjects(&certmanagerv1.CertificateRequest{
					ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "labguard-lis-identity-1"}, Status: certmanagerv1.CertificateRequestStatus{Certificate: test.chain},
				})
			}
			if err := (&Reconciler{Live: live.Build(), Sidecars: Sidecars{Roots: test.roots}}).gatherRefusal(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if (s.certificate.refused == "") != (test.says == "") || !strings.Contains(s.certificate.refused, test.says) {
				t.Errorf("%q, want %q", s.certificate.refused, test.says)
			}
		})
	}
}
