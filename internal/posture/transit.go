// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// TransitObservation is what was seen of the certificate of one LabWorkload.
type TransitObservation struct {
	// Enforced says that the certificate is asked for.
	Enforced bool
	// IssuerAllowed says that the operator's configuration lists the issuer; Issuer names it.
	IssuerAllowed bool
	Issuer        string
	// CertManagerServed says that the API of cert-manager is there.
	CertManagerServed bool
	// NameTaken are objects of somebody else with the name of the Certificate, so that it is not written.
	NameTaken []string
	// Exists says that the Certificate object is there, Issued that cert-manager calls it ready, and Detail what it says.
	Exists, Issued bool
	Detail         string
	// NotAfter is when the issued certificate expires; zero if not known.
	NotAfter time.Time
}

// JudgeTransit answers TransitEncrypted for provider Application. labguard sees the certificate and not the wire, so the best answer
// is Unknown/NotProven.
func JudgeTransit(seen TransitObservation, now time.Time) Verdict {
	no := metav1.ConditionFalse
	switch {
	case !seen.IssuerAllowed:
		return verdict(no, v1alpha1.ReasonIssuerNotAllowed,
			"%s is not among the issuers of labguard's configuration: name one that the platform team lists there", []string{seen.Issuer})
	case !seen.Enforced && !seen.Exists:
		return verdict(no, v1alpha1.ReasonAudit, "no certificate is asked for, since encryption in transit is at Audit")
	case !seen.CertManagerServed:
		return verdict(no, v1alpha1.ReasonCertManagerMissing, "the cluster does not serve cert-manager's API: install cert-manager; labguard goes on by itself then")
	case len(seen.NameTaken) > 0:
		return verdict(no, v1alpha1.ReasonNameTaken, "no certificate is asked for: Certificate %s exists and is not labguard's: rename or delete it", seen.NameTaken)
	case !seen.NotAfter.IsZero() && !now.Before(seen.NotAfter):
		return verdict(no, v1alpha1.ReasonCertificateExpired, "the certificate has expired: %s", orSilent(seen.Detail))
	case !seen.Issued:
		v := verdict(no, v1alpha1.ReasonCertificateNotReady, "cert-manager has not issued the certificate: %s", orSilent(seen.Detail))
		v.NextChange = seen.NotAfter
		return v
	default:
		v := verdict(metav1.ConditionUnknown, v1alpha1.ReasonNotProven,
			"the certificate is issued; the application terminates TLS itself, and nothing has shown yet that it does on every port")
		v.NextChange = seen.NotAfter
		return v
	}
}

func orSilent(detail string) []string {
	if detail == "" {
		detail = "it says nothing yet"
	}
	return []string{detail}
}
