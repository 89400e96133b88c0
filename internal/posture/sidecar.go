// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"strings"
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
	// CertificateRefused says why peers would refuse the certificate, so that no pod gets airlock; "": nothing is known of that.
	CertificateRefused string
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
		return verdict(no, v1alpha1.ReasonNoTrust, "no pod gets airlock, since peers would refuse the certificate: %s", []string{seen.CertificateRefused}), true
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
	var nameless, trustless []string
	for i := range seen.Pods {
		said := &seen.Pods[i].Facts
		switch {
		case said.ReportedAt.IsZero():
		case said.Report.Identity == nil || !now.Before(said.Report.Identity.NotAfter):
			nameless = append(nameless, seen.Pods[i].Name)
		case len(said.Report.Bundles[seen.TrustDomain]) == 0:
			trustless = append(trustless, seen.Pods[i].Name)
		}
	}
	switch {
	case len(nameless) > 0:
		return verdict(no, v1alpha1.ReasonNoIdentity, "the airlock of pod %s has no certificate that is valid: %s", nameless, orSilent(certificate.Detail)), true
	case len(trustless) > 0:
		return verdict(no, v1alpha1.ReasonNoTrust, "the airlock of pod %s has no root of the trust domain, so it trusts nobody: look at trustDomains in labguard's configuration", trustless), true
	case !certificate.Issued && certificate.NotAfter.IsZero():
		return verdict(no, v1alpha1.ReasonCertificateNotReady, "cert-manager has not issued the certificate: %s", orSilent(certificate.Detail)), true
	default:
		return Verdict{}, false
	}
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

// judgeProof asks for a report and for probes of the last hour of every pod, address and closed port.
func judgeProof(seen *SidecarObservation, now time.Time) (Verdict, bool) {
	unproven, oldest, vantages := Proof(seen.Pods, seen.ClosedPorts, now)
	var silent, behind []string
	for i := range seen.Pods {
		if seen.Pods[i].Facts.Report.ConfigurationError != "" {
			behind = append(behind, seen.Pods[i].Name)
		}
		if said := &seen.Pods[i].Facts; said.ReportedAt.IsZero() || now.Sub(said.ReportedAt) >= ProofLasts {
			silent = append(silent, seen.Pods[i].Name)
		}
	}
	unproven = append(unproven, silent...)
	switch {
	case len(seen.Pods) == 0:
		return verdict(metav1.ConditionUnknown, v1alpha1.ReasonNoRecentProof, "no pod runs, so nothing can be shown"), true
	case len(behind) > 0:
		return verdict(metav1.ConditionUnknown, v1alpha1.ReasonNoRecentProof, "the airlock of pod %s does not use its present configuration, so nothing shows whom it lets in: look at its log", behind), true
	case len(unproven) > 0:
		return verdict(metav1.ConditionUnknown, v1alpha1.ReasonNoRecentProof, "no probe of the last hour shows that plaintext is closed at pod %s", unproven), true
	}
	found := verdict(metav1.ConditionTrue, v1alpha1.ReasonMutualTLS, "the declared ports are reached through mutual TLS alone, from other pods and from outside of the node; probes of the last hour show it")
	if len(seen.ClosedPorts) == 0 {
		found.Message = "the pods have no declared port, and reach their upstreams through mutual TLS"
	}
	if late, half := renewalLate(seen, now); late {
		found.Reason, found.Message = v1alpha1.ReasonRenewalLate, "mutual TLS holds, and the renewal of the certificate is more than 12 hours late: look at cert-manager"
		if half {
			found.Message = "mutual TLS holds, and half of the time is gone in which the certificate was to be renewed: look at cert-manager now"
		}
	} else if len(seen.ClosedPorts) > 0 && !slices.Contains(vantages, false) {
		found.Reason = v1alpha1.ReasonSingleVantage
		found.Message = "the declared ports are reached through mutual TLS alone; all probes of the last hour were made on the node of the pod itself"
	}
	if !oldest.IsZero() {
		found.NextChange = ProofEnds(oldest, now)
	}
	return found, true
}

// ProofStep is how exactly is told when something was proven: a proof is renewed all the time, and what is told of it changes with each step at most.
const ProofStep = 15 * time.Minute

// ProofEnds is when a proof ends whose oldest probe was made at an instant: up to a step before it does, and never before now.
func ProofEnds(oldest, now time.Time) time.Time {
	ends := oldest.Truncate(ProofStep).Add(ProofLasts)
	if !ends.After(now) {
		ends = ends.Add(ProofStep)
	}
	return ends
}

// Proof says of which pods no probe of the last hour shows that every closed port is closed at every address, beside one that was let through. oldest is when
// the oldest probe was made on which the proof rests, and vantages say of each whether it was made on the pod's own node.
func Proof(pods []AirlockPod, closed []int32, now time.Time) (unproven []string, oldest time.Time, vantages []bool) {
	for i := range pods {
		for _, address := range pods[i].Addresses {
			for _, port := range closed {
				at := slices.IndexFunc(pods[i].Facts.Probes, func(probe Probe) bool {
					return probe.Address == address && probe.Port == port && !probe.Reached && probe.Control && now.Sub(probe.At) < ProofLasts
				})
				if at < 0 {
					unproven = append(unproven, pods[i].Name)
					continue
				}
				probe := pods[i].Facts.Probes[at]
				oldest, vantages = Earliest(oldest, probe.At), append(vantages, probe.SameNode)
			}
		}
		if len(pods[i].Addresses) == 0 && len(closed) > 0 {
			unproven = append(unproven, pods[i].Name)
		}
	}
	return unproven, oldest, vantages
}

// Vantage names from where the probes were made.
func Vantage(pods []AirlockPod) string {
	var from []string
	for i := range pods {
		for _, probe := range pods[i].Facts.Probes {
			if probe.Vantage != "" {
				from = append(from, probe.Vantage)
			}
		}
	}
	return strings.TrimSpace(cut(List(from), 256))
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
