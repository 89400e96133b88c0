// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

func TestTransitEncryptedSaysWhatTheCertificateIs(t *testing.T) {
	t.Parallel()
	expires := today.Add(day)
	issued := TransitObservation{
		Enforced: true, IssuerAllowed: true, Issuer: "ClusterIssuer lab-ca", CertManagerServed: true, Exists: true, Issued: true, NotAfter: expires,
	}
	but := func(change func(*TransitObservation)) TransitObservation {
		seen := issued
		change(&seen)
		return seen
	}
	no, unknown := metav1.ConditionFalse, metav1.ConditionUnknown
	notProven := Verdict{
		Answer: unknown, Reason: v1alpha1.ReasonNotProven, NextChange: expires,
		Message: "the certificate is issued; the application terminates TLS itself, and nothing has shown yet that it does on every port",
	}
	for name, test := range map[string]struct {
		seen TransitObservation
		now  time.Time
		want Verdict
	}{
		"nothing observed is False": {
			TransitObservation{}, today,
			Verdict{Answer: no, Reason: v1alpha1.ReasonIssuerNotAllowed, Message: " is not among the issuers of labguard's configuration: name one that the platform team lists there"},
		},
		"an issued certificate proves nothing about the wire": {issued, today, notProven},
		"the last nanosecond of a certificate":                {issued, expires.Add(-1), notProven},
		"an expired certificate": {
			but(func(s *TransitObservation) { s.Detail = "renewal failed" }), expires,
			Verdict{Answer: no, Reason: v1alpha1.ReasonCertificateExpired, Message: "the certificate has expired: renewal failed"},
		},
		"a certificate whose end is not known": {
			but(func(s *TransitObservation) { s.NotAfter = time.Time{} }), today,
			Verdict{Answer: unknown, Reason: v1alpha1.ReasonNotProven, Message: notProven.Message},
		},
		"an issuer of the team's own is worse than anything else": {
			but(func(s *TransitObservation) { s.IssuerAllowed = false }), expires,
			Verdict{
				Answer: no, Reason: v1alpha1.ReasonIssuerNotAllowed,
				Message: "ClusterIssuer lab-ca is not among the issuers of labguard's configuration: name one that the platform team lists there",
			},
		},
		"under Audit none is asked for": {
			but(func(s *TransitObservation) { s.Enforced, s.Exists, s.Issued = false, false, false }), today,
			Verdict{Answer: no, Reason: v1alpha1.ReasonAudit, Message: "no certificate is asked for, since encryption in transit is at Audit"},
		},
		"under Audit one that was issued before is kept": {but(func(s *TransitObservation) { s.Enforced = false }), today, notProven},
		"without cert-manager nothing moves": {
			but(func(s *TransitObservation) { s.CertManagerServed = false }), today,
			Verdict{
				Answer: no, Reason: v1alpha1.ReasonCertManagerMissing,
				Message: "the cluster does not serve cert-manager's API: install cert-manager; labguard goes on by itself then",
			},
		},
		"somebody else's certificate with the name is no certificate": {
			but(func(s *TransitObservation) { s.NameTaken, s.Exists, s.Issued = []string{"labguard-lis"}, false, false }), today,
			Verdict{
				Answer: no, Reason: v1alpha1.ReasonNameTaken,
				Message: "no certificate is asked for: Certificate labguard-lis exists and is not labguard's: rename or delete it",
			},
		},
		"not issued yet, and cert-manager says why": {
			but(func(s *TransitObservation) { s.Issued, s.Detail, s.NotAfter = false, "issuer not\nready", time.Time{} }), today,
			Verdict{Answer: no, Reason: v1alpha1.ReasonCertificateNotReady, Message: "cert-manager has not issued the certificate: issuer not?ready"},
		},
		"not ready while an older certificate is still good until its end": {
			but(func(s *TransitObservation) { s.Issued = false }), today,
			Verdict{
				Answer: no, Reason: v1alpha1.ReasonCertificateNotReady, NextChange: expires,
				Message: "cert-manager has not issued the certificate: it says nothing yet",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, JudgeTransit(test.seen, test.now)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPropertyACertificateAloneNeverProvesEncryption(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := TransitObservation{
			Enforced: rapid.Bool().Draw(t, "enforced"), IssuerAllowed: rapid.IntRange(0, 4).Draw(t, "allowed") > 0, Issuer: rapid.String().Draw(t, "issuer"),
			CertManagerServed: rapid.IntRange(0, 4).Draw(t, "served") > 0, Exists: rapid.Bool().Draw(t, "exists"), Issued: rapid.Bool().Draw(t, "issued"),
			Detail: rapid.OneOf(rapid.String(), rapid.StringN(0, 900, -1)).Draw(t, "detail"), NotAfter: instants().Draw(t, "notAfter"),
		}
		now := instants().Draw(t, "now")
		got := JudgeTransit(seen, now)
		requireSound(t, got)
		if got.Status() == metav1.ConditionTrue {
			t.Fatalf("without a look at the wire got %+v", got)
		}
		if got.NextChange.IsZero() {
			if diff := cmp.Diff(got, JudgeTransit(seen, now.Add(5000*day))); diff != "" {
				t.Fatalf("time was said to change nothing:\n%s", diff)
			}
			return
		}
		if diff := cmp.Diff(got, JudgeTransit(seen, got.NextChange.Add(-1))); diff != "" {
			t.Fatalf("changed before %s:\n%s", got.NextChange, diff)
		}
		if after := JudgeTransit(seen, got.NextChange); after.Reason == got.Reason || !got.NextChange.After(now) {
			t.Fatalf("nothing changed at %s: still %s", got.NextChange, after.Reason)
		}
	})
}
