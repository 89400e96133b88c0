// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/apply"
)

// A certificate that comes back with its Secret, as from a backup, would be refused by every peer until cert-manager renews it in days.
func TestACertificateThatPeersRefuseForItsAgeIsIssuedAnew(t *testing.T) {
	hour := metav1.NewTime(today.Add(-59 * time.Minute))
	tests := map[string]struct {
		change func(*scope, *certmanagerv1.Certificate)
		want   bool
	}{
		"it came from a backup":          {func(*scope, *certmanagerv1.Certificate) {}, true},
		"nothing is wrong with it":       {func(_ *scope, c *certmanagerv1.Certificate) { c.Status.NotBefore = new(metav1.NewTime(today)) }, false},
		"it is not issued":               {func(s *scope, _ *certmanagerv1.Certificate) { s.certificate.issued = false }, false},
		"it is somebody else's":          {func(s *scope, _ *certmanagerv1.Certificate) { s.certificate.taken = true }, false},
		"nobody asks for the sidecar":    {func(s *scope, _ *certmanagerv1.Certificate) { s.sidecar.active = false }, false},
		"the issuer is not allowed":      {func(s *scope, _ *certmanagerv1.Certificate) { s.issuerAllowed = false }, false},
		"the issuer has failed just now": {func(_ *scope, c *certmanagerv1.Certificate) { c.Status.LastFailureTime = &hour }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := scopeOfToday(t)
			s.sidecar.profile.Spec.Selector = &s.workload.Spec.Selector
			s.sidecar.active, s.issuerAllowed, s.certificate.issued = true, true, true
			made := &certmanagerv1.Certificate{
				ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "labguard-lis-identity", UID: "certificate"},
				Status: certmanagerv1.CertificateStatus{
					NotBefore: new(metav1.NewTime(today.AddDate(0, 0, -2))), Revision: new(1),
					Conditions: []certmanagerv1.CertificateCondition{{Type: certmanagerv1.CertificateConditionReady, Status: cmmeta.ConditionTrue}},
				},
			}
			test.change(s, made)
			c := certificates(t).WithObjects(made).WithStatusSubresource(made).Build()
			r := &Reconciler{Client: c, Live: c}
			// look is a reconcile, after which cert-manager has set the condition back as it does when it has issued.
			look := func() bool {
				s.certificate.object, s.certificate.revoked, s.certificate.refused = &certmanagerv1.Certificate{}, false, ""
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(made), s.certificate.object); err != nil {
					t.Fatal(err)
				}
				if err := r.gatherRefusal(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if err := r.reissue(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				live := &certmanagerv1.Certificate{}
				if err := c.Get(t.Context(), client.ObjectKeyFromObject(made), live); err != nil {
					t.Fatal(err)
				}
				asked := apply.Issuing(live)
				live.Status.Conditions = made.Status.Conditions
				if err := c.Status().Update(t.Context(), live); err != nil {
					t.Fatal(err)
				}
				return asked
			}
			if got := look(); got != test.want {
				t.Fatalf("issued anew: %t, want %t", got, test.want)
			}
			if look() {
				t.Error("it is asked for again at once, although the issuer gives no better one")
			}
			s.now = s.now.Add(2 * time.Hour)
			if got := look(); test.want && !got {
				t.Error("two hours later it is not asked for again")
			}
		})
	}
}
