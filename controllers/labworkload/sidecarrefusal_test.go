// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// certificates is a fake API server that knows cert-manager's kinds.
func certificates(t *testing.T) *fake.ClientBuilder {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := certmanagerv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme)
}

// scopeOfToday is a LabWorkload at Strict that was made today, as its profile was.
func scopeOfToday(t *testing.T) *scope {
	t.Helper()
	s := strictScope(t)
	s.workload.CreationTimestamp = metav1.NewTime(today)
	s.sidecar.profile = &v1alpha1.AirlockProfile{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(today)}}
	return s
}

// rootOf is an authority, and a chain that stands on it.
func rootOf(t *testing.T, name string) (posture.Root, []byte) {
	t.Helper()
	authority := pki.NewAuthorityAt(t, name, today)
	roots, err := posture.ParseRoots(authority.Text(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return roots[0], authority.Issue(pki.Leaf{NotBefore: today}).Chain
}

// What peers refuse never falls back to plaintext: no pod gets a sidecar with such a certificate.
func TestNoPodGetsACertificateThatPeersRefuse(t *testing.T) {
	ours, chain := rootOf(t, "ours")
	other, _ := rootOf(t, "other")
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
			s := scopeOfToday(t)
			if test.selects {
				s.sidecar.profile.Spec.Selector = &s.workload.Spec.Selector
			}
			from := metav1.NewTime(test.from)
			s.certificate.issued, s.certificate.object = true, &certmanagerv1.Certificate{
				ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "labguard-lis-identity"}, Status: certmanagerv1.CertificateStatus{NotBefore: &from, Revision: new(1)},
			}
			live := certificates(t)
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
