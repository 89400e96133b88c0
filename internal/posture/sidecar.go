// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/report"
)

const (
	// ProofLasts is how long a probe or a report proves something.
	ProofLasts = time.Hour
	// renewalLateAfter is how late a renewal may be before somebody is told.
	renewalLateAfter = 12 * time.Hour
)

// SidecarObservation is what was seen of the mutual TLS of one LabWorkload with provider Sidecar. Names are for the message.
type SidecarObservation struct {
	// Certificate is what was seen of the certificate.
	Certificate TransitObservation
	// CertificateRefused says why peers refuse the certificate, so that no pod gets airlock that has none; "": nothing is known of that.
	CertificateRefused string
	// RevokedBefore is the beginning of certificates below which peers refuse them; zero: nobody does.
	RevokedBefore time.Time
	// RenewalTime is when it was to be renewed; zero if not known.
	RenewalTime time.Time
	// Stage is what is in force.
	Stage v1alpha1.TransitStage
	// Pods are the live pods, ClosedPorts the ports that labguard must not reach in plaintext.
	Pods        []AirlockPod
	ClosedPorts []int32
	TrustDomain string
	// NotClosed says why the network policy that closes plaintext at Strict is not in force; the zero value: it is. OpenedWider are policies of others that open
	// a declared port.
	NotClosed   Verdict
	OpenedWider []string
	// NameTaken are objects of somebody else with the name of one that labguard has to write.
	NameTaken []string
	// Overlaps are LabWorkloads that select one of the same pods and come first, Mesh pods with the sidecar of a mesh.
	Overlaps, Mesh []string
	// TooMany says that the namespace has too many LabWorkloads with provider Sidecar.
	TooMany bool
	// Unknown are authorities and trust domains that the configuration does not have, Refused identities that no external peer may have.
	Unknown, Refused []string
	// Exceptions are peers to which plaintext is open, and ExceptionEnds is when the next of them ends.
	Exceptions    []string
	ExceptionEnds time.Time
	// Conflicts are upstreams whose port the pods themselves serve, Headless those of a headless Service, Restart pods that do not know an upstream yet.
	Conflicts, Headless, Restart []string
	RedirectForbidden            bool
	// Configuration is the digest of the configuration that each airlock has to say it uses before anything is shown; "": it was shown already at this stage, and
	// what changes since then comes when it comes.
	Configuration string
	// CutOff says of declared clients why they do not get in: Strict is not left for them.
	CutOff []string
	// Acknowledged is how many connections of unknown origin a person accepts.
	Acknowledged *int64
	// IsUpstream says of the name of an upstream in a report whether mutual TLS is declared for it.
	IsUpstream func(name string) bool
}

// JudgeSidecar answers TransitEncrypted for provider Sidecar. It is True at stage Strict alone, with airlock in every live pod, and with probes of the last
// hour from outside of the pods. What is certainly wrong comes first.
func JudgeSidecar(seen SidecarObservation, now time.Time) Verdict {
	judges := []func(*SidecarObservation, time.Time) (Verdict, bool){
		judgeSetup, judgePods, judgeIdentity, judgeProbes, judgeClientPath, judgePlaintext, judgeStage, judgeProof,
	}
	found := Verdict{}
	for _, judge := range judges {
		verdict, decided := judge(&seen, now)
		if decided {
			found = verdict
			break
		}
	}
	for _, at := range []time.Time{seen.ExceptionEnds, seen.Certificate.NotAfter, renewalMark(&seen, now)} {
		if at.After(now) {
			found.NextChange = Earliest(found.NextChange, at)
		}
	}
	return found
}

// judgeSetup says what keeps the sidecar from being there at all.
func judgeSetup(seen *SidecarObservation, _ time.Time) (Verdict, bool) {
	no, certificate := metav1.ConditionFalse, &seen.Certificate
	switch {
	case !certificate.IssuerAllowed:
		return verdict(no, v1alpha1.ReasonIssuerNotAllowed,
			"%s is not among the issuers of labguard's configuration: name one that the platform team lists there", []string{certificate.Issuer}), true
	case !certificate.Enforced:
		return verdict(no, v1alpha1.ReasonAudit, "no pod gets airlock, since encryption in transit is at Audit"), true
	case len(seen.Overlaps) > 0:
		return verdict(no, v1alpha1.ReasonSelectorOverlap,
			"LabWorkload %s selects some of the same pods and has them already, or is older, and a pod has one identity: make the selectors disjoint", seen.Overlaps), true
	case seen.TooMany:
		return verdict(no, v1alpha1.ReasonTooManyWorkloads, "the namespace has more than 50 LabWorkloads with provider Sidecar: spread them over namespaces"), true
	case len(seen.Mesh) > 0:
		return verdict(no, v1alpha1.ReasonMeshPresent, "pod %s has the sidecar of a service mesh: take these pods out of the mesh", seen.Mesh), true
	case len(seen.NameTaken) > 0:
		return verdict(no, v1alpha1.ReasonNameTaken, "%s exists and is not labguard's: rename or delete it", seen.NameTaken), true
	case len(seen.Unknown) > 0:
		return verdict(no, v1alpha1.ReasonAuthorityUnknown, "%s is not in labguard's configuration, so its peers are refused: let the platform team add it", seen.Unknown), true
	case len(seen.Refused) > 0:
		return verdict(no, v1alpha1.ReasonInvalidSpec,
			"%s is nothing that an external peer may be: one of this cluster's own trust domain is a LabWorkload, and others need an authority that may vouch for them", seen.Refused), true
	case seen.Stage == v1alpha1.TransitStageObserve:
		return verdict(no, v1alpha1.ReasonObserving, "stage Observe changes nothing, so plaintext is open: set stage: Permissive"), true
	case !certificate.CertManagerServed:
		return verdict(no, v1alpha1.ReasonCertManagerMissing, "the cluster does not serve cert-manager's API: install cert-manager; labguard goes on by itself then"), true
	case seen.CertificateRefused != "":
		return verdict(no, v1alpha1.ReasonNoTrust, "peers refuse the certificate, so that nobody is let in who shows it, and no first pod gets airlock: %s", []string{seen.CertificateRefused}), true
	default:
		return Verdict{}, false
	}
}

func judgePods(seen *SidecarObservation, _ time.Time) (Verdict, bool) {
	var without []string
	for i := range seen.Pods {
		if !seen.Pods[i].Injected {
			without = append(without, seen.Pods[i].Name)
		}
	}
	if len(without) == 0 {
		return Verdict{}, false
	}
	return verdict(metav1.ConditionFalse, v1alpha1.ReasonNotInjected, "pod %s has no airlock: it gets it when it is replaced, as by kubectl rollout restart", without), true
}

// judgeIdentity looks at the certificate, and at what each airlock says of it.
func judgeIdentity(seen *SidecarObservation, now time.Time) (Verdict, bool) {
	no, certificate := metav1.ConditionFalse, &seen.Certificate
	if !certificate.NotAfter.IsZero() && !now.Before(certificate.NotAfter) {
		return verdict(no, v1alpha1.ReasonCertificateExpired, "the certificate has expired: %s", orSilent(certificate.Detail)), true
	}
	nameless, revoked, trustless := withoutIdentity(seen, now)
	switch {
	case len(nameless) > 0:
		return verdict(no, v1alpha1.ReasonNoIdentity, "the airlock of pod %s has no certificate that is valid: %s", nameless, orSilent(certificate.Detail)), true
	case len(revoked) > 0:
		return verdict(no, v1alpha1.ReasonNoIdentity, "peers refuse the certificate that pod %s has, since it began long before this LabWorkload was made", revoked), true
	case len(trustless) > 0:
		return verdict(no, v1alpha1.ReasonNoTrust, "the airlock of pod %s has no root of the trust domain, so it trusts nobody: look at trustDomains in labguard's configuration", trustless), true
	case !certificate.Issued && certificate.NotAfter.IsZero():
		return verdict(no, v1alpha1.ReasonCertificateNotReady, "cert-manager has not issued the certificate: %s", orSilent(certificate.Detail)), true
	default:
		return Verdict{}, false
	}
}

// withoutIdentity are the pods whose airlocks have no valid certificate, one that peers refuse for its age, or no root.
func withoutIdentity(seen *SidecarObservation, now time.Time) (nameless, revoked, trustless []string) {
	for i := range seen.Pods {
		said := &seen.Pods[i].Facts
		switch {
		case said.ReportedAt.IsZero():
		case said.Report.Identity == nil || !now.Before(said.Report.Identity.NotAfter):
			nameless = append(nameless, seen.Pods[i].Name)
		case !said.Report.Identity.NotBefore.IsZero() && said.Report.Identity.NotBefore.Before(seen.RevokedBefore):
			revoked = append(revoked, seen.Pods[i].Name)
		case len(said.Report.Bundles[seen.TrustDomain]) == 0:
			trustless = append(trustless, seen.Pods[i].Name)
		}
	}
	return nameless, revoked, trustless
}

func judgeProbes(seen *SidecarObservation, now time.Time) (Verdict, bool) {
	if seen.Stage != v1alpha1.TransitStageStrict {
		return Verdict{}, false
	}
	if reached := Reached(seen.Pods, seen.ClosedPorts, now); len(reached) > 0 {
		return verdict(metav1.ConditionFalse, v1alpha1.ReasonPlaintextReachable, "labguard reached %s in plaintext, which the stage closes: look at NetworkIsolated", reached), true
	}
	// Probes come from labguard alone, to which the ports were closed before: what is open to others has to be read.
	if seen.NotClosed.Reason != "" {
		return seen.NotClosed, true
	}
	if len(seen.OpenedWider) > 0 {
		return verdict(metav1.ConditionFalse, v1alpha1.ReasonOpenedWider, "NetworkPolicy %s opens declared ports, which the stage closes in plaintext: narrow it", seen.OpenedWider), true
	}
	return Verdict{}, false
}

// Reached are the closed ports that the probes of the last hour have reached, as pod:port.
func Reached(pods []AirlockPod, closed []int32, now time.Time) []string {
	var reached []string
	for i := range pods {
		for _, probe := range pods[i].Facts.Probes {
			if probe.Reached && now.Sub(probe.At) < ProofLasts && slices.Contains(closed, probe.Port) {
				reached = append(reached, fmt.Sprintf("%s:%d", pods[i].Name, probe.Port))
			}
		}
	}
	return reached
}

func judgeClientPath(seen *SidecarObservation, _ time.Time) (Verdict, bool) {
	no := metav1.ConditionFalse
	switch {
	case len(seen.Conflicts) > 0:
		return verdict(no, v1alpha1.ReasonClientPathConflict,
			"the pods themselves serve the port of upstream %s, so airlock cannot listen there: set upstreams[].localPort, or clientPath: Redirect", seen.Conflicts), true
	case len(seen.Headless) > 0:
		return verdict(no, v1alpha1.ReasonHeadlessUnsupported, "upstream %s is a headless Service, whose names airlock does not stand for: use one with an address", seen.Headless), true
	case seen.RedirectForbidden:
		return verdict(no, v1alpha1.ReasonRedirectForbidden, "clientPath is Redirect, and the Pod Security level of the namespace refuses NET_ADMIN: use HostAliases, or another namespace"), true
	case len(seen.Restart) > 0:
		return verdict(no, v1alpha1.ReasonRestartNeeded, "pod %s was made before an upstream or an authority was declared: replace it", seen.Restart), true
	default:
		return Verdict{}, false
	}
}

// judgePlaintext says whether plaintext is open to somebody, or was seen.
func judgePlaintext(seen *SidecarObservation, now time.Time) (Verdict, bool) {
	no := metav1.ConditionFalse
	if len(seen.Exceptions) > 0 {
		return verdict(no, v1alpha1.ReasonPlaintextException, "plaintext is open to %s, as the spec says", seen.Exceptions), true
	}
	peers := plaintextPeers(seen, now)
	switch {
	case len(peers) > 0:
		return verdict(no, v1alpha1.ReasonPlaintextSeen, "connections went over plaintext within the last hour: %s", peers), true
	case seen.Stage == v1alpha1.TransitStagePermissive && exceeds(unattributed(seen.Pods), seen.Acknowledged):
		return verdict(no, v1alpha1.ReasonUnattributedConnections,
			"connections were over before anybody saw who it was: look into them, then accept them with acknowledged.unattributedConnections"), true
	default:
		return Verdict{}, false
	}
}

// plaintextPeers are those who spoke plaintext within the last hour: undeclared peers, and upstreams.
func plaintextPeers(seen *SidecarObservation, now time.Time) []string {
	var peers []string
	for i := range seen.Pods {
		said := &seen.Pods[i].Facts.Report
		for _, port := range said.Ports {
			for _, peer := range port.Undeclared {
				if now.Sub(peer.LastSeen) < ProofLasts {
					peers = append(peers, fmt.Sprintf("%s to port %d", peer.Address, port.Port))
				}
			}
		}
		for _, upstream := range said.Upstreams {
			if at := upstream.LastPlaintext; at != nil && now.Sub(*at) < ProofLasts && (seen.IsUpstream == nil || seen.IsUpstream(upstream.Name)) {
				peers = append(peers, "to "+upstream.Name)
			}
		}
	}
	return peers
}

func judgeStage(seen *SidecarObservation, _ time.Time) (Verdict, bool) {
	if seen.Stage == v1alpha1.TransitStageStrict {
		return Verdict{}, false
	}
	return verdict(metav1.ConditionFalse, v1alpha1.ReasonPermissive, "the stage is Permissive, so plaintext is open to the declared peers; status.transit says what Strict needs"), true
}

// renewalLate says whether the renewal is late, and whether half of the time until the end of the certificate is gone.
func renewalLate(seen *SidecarObservation, now time.Time) (late, half bool) {
	renewal, end := seen.RenewalTime, seen.Certificate.NotAfter
	if renewal.IsZero() || end.IsZero() || now.Sub(renewal) < renewalLateAfter {
		return false, false
	}
	return true, !now.Before(renewal.Add(end.Sub(renewal) / 2))
}

// renewalMark is the next instant at which a renewal that has not come is late, or half of its time is gone.
func renewalMark(seen *SidecarObservation, now time.Time) time.Time {
	renewal, end := seen.RenewalTime, seen.Certificate.NotAfter
	if renewal.IsZero() || end.IsZero() {
		return time.Time{}
	}
	for _, at := range []time.Time{renewal.Add(renewalLateAfter), renewal.Add(end.Sub(renewal) / 2)} {
		if at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// Where an application listens.
const (
	ListensOnLoopback = report.Loopback
	ListensOnNode     = report.Node
)

// ListensAt is where the application of a pod listens at a port; empty if that is not known.
func (p *AirlockPod) ListensAt(port int32) string {
	for _, seen := range p.Facts.Report.Ports {
		if seen.Port == int(port) {
			return seen.Listening
		}
	}
	return ""
}
