// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// lookAgainAfter is how often what airlocks say is looked at.
const lookAgainAfter = time.Minute

// sidecarLook is when to look again at a LabWorkload with a sidecar; zero if nothing is to be seen.
func (s *scope) sidecarLook() time.Time {
	if !s.sidecar.active && !s.sidecar.leaving {
		return time.Time{}
	}
	return posture.Earliest(s.now.Add(lookAgainAfter), s.sidecar.stage.NextChange)
}

// judgeSidecar answers TransitEncrypted for provider Sidecar, and says what the certificate is to be.
func (r *Reconciler) judgeSidecar(s *scope, d *decision, wanted *intent) {
	spec, c := desired.Sidecar(s.workload), &s.sidecar
	wanted.keepCertificate = true
	wanted.opens = c.profile != nil && c.profile.Spec.Stage == v1alpha1.TransitStageStrict && c.stage.Stage != v1alpha1.TransitStageStrict
	if c.profile != nil && c.active && s.issuerAllowed {
		wanted.certificate = desired.IdentityCertificate(s.workload, s.cluster, c.result.Profile.Current.Secret, c.profile)
	}
	notes := &c.result.Notes
	seen := posture.SidecarObservation{
		Certificate: s.observeCertificate(), CertificateRefused: s.certificate.refused, Stage: c.stage.Stage, Pods: s.airlockPods(), ClosedPorts: c.closed, TrustDomain: r.Platform.TrustDomain,
		NotClosed: s.notClosed(), OpenedWider: s.openedPorts(), NameTaken: s.takenBySomebody(), Overlaps: c.overlaps, Mesh: c.mesh, TooMany: c.tooMany, Unknown: notes.Unknown, Refused: notes.Refused,
		Conflicts: notes.Conflicts, Headless: notes.Headless, RedirectForbidden: notes.RedirectForbidden, Restart: s.needRestart(),
		Acknowledged: acknowledged(spec), IsUpstream: func(name string) bool { return !strings.HasPrefix(name, transit.PassedOn) },
	}
	seen.RevokedBefore, seen.CutOff, seen.Configuration = s.revokedBefore(), s.cutOff(), s.unshown()
	seen.Exceptions, seen.ExceptionEnds = exceptions(spec, s.now)
	if live := s.certificate.object; live != nil && !s.certificate.taken {
		if live.Status.RenewalTime != nil {
			seen.RenewalTime = live.Status.RenewalTime.Time
		}
		d.certificate = &v1alpha1.CertificateStatus{
			SecretName: live.Spec.SecretName, Serial: s.certificate.serial, NotAfter: live.Status.NotAfter.DeepCopy(), RenewalTime: live.Status.RenewalTime.DeepCopy(),
		}
	}
	if s.enforcement.Transit && s.issuerAllowed && r.Sidecars.Image == "" && c.profile == nil {
		answer := posture.Verdict{Answer: metav1.ConditionFalse, Reason: v1alpha1.ReasonWaiting, Message: "labguard's configuration names no image of airlock: let the platform team set airlock.image"}
		d.transit = &answer
	} else {
		answer := posture.JudgeSidecar(seen, s.now)
		if answer.Reason == v1alpha1.ReasonNoRecentProof {
			if before, kept := s.remembered(v1alpha1.ConditionTransitEncrypted, seen.Pods); kept {
				answer, c.remembered = before, true
			}
		}
		d.transit = &answer
	}
	d.progress = s.transitStatus(seen)
}

// observeCertificate is what was seen of the certificate.
func (s *scope) observeCertificate() posture.TransitObservation {
	reference := desired.Sidecar(s.workload).IssuerRef
	seen := posture.TransitObservation{
		Enforced: s.enforcement.Transit, IssuerAllowed: s.issuerAllowed, Issuer: fmt.Sprintf("%s %s", orClusterIssuer(reference.Kind), reference.Name),
		CertManagerServed: s.certificate.served, Exists: s.certificate.object != nil && !s.certificate.taken, Issued: s.certificate.issued, Detail: s.certificate.message,
	}
	if live := s.certificate.object; live != nil && !s.certificate.taken && live.Status.NotAfter != nil {
		seen.NotAfter = live.Status.NotAfter.Time
	}
	return seen
}

// takenBySomebody are objects of others with the name of one that labguard has to write.
func (s *scope) takenBySomebody() []string {
	var taken []string
	if s.certificate.taken && s.certificate.object != nil {
		taken = append(taken, "Certificate "+s.certificate.object.Name)
	}
	if s.sidecar.document != nil && s.sidecar.profile != nil && !metav1.IsControlledBy(s.sidecar.document, s.sidecar.profile) {
		taken = append(taken, "ConfigMap "+s.sidecar.document.Name)
	}
	for _, companion := range s.sidecar.result.Companions {
		if live := s.ownService(companion.Name); live != nil && !s.controls(live) {
			taken = append(taken, "Service "+companion.Name)
		}
	}
	return taken
}

func (s *scope) ownService(name string) *corev1.Service {
	for i := range s.services {
		if s.services[i].Name == name {
			return &s.services[i]
		}
	}
	return nil
}

// exceptions are the peers to whom plaintext is open, and when the next exception ends.
func exceptions(spec *v1alpha1.InTransitSpec, now time.Time) (names []string, ends time.Time) {
	for _, port := range spec.Ports {
		for _, peer := range port.AllowFrom {
			if !desired.PlaintextOpen(peer, now) {
				continue
			}
			ends = posture.Earliest(ends, peer.Plaintext.Expires.Time)
			if peer.External != nil && len(peer.External.CIDRs) > 0 {
				names = append(names, fmt.Sprintf("%s at port %s", peer.External.CIDRs[0], port.Name))
			} else {
				names = append(names, "pods at port "+port.Name)
			}
		}
	}
	return names, ends
}

// needRestart are the pods that were made before an upstream, or a trust bundle, was declared.
func (s *scope) needRestart() []string {
	if !s.sidecar.active || s.sidecar.profile == nil || s.sidecar.profile.Spec.Selector == nil {
		return nil
	}
	var names []string
	for _, pod := range s.governed() {
		if !isInjected(&pod, s.workload.Name) {
			continue
		}
		revision := transit.RevisionOf(s.sidecar.profile, pod.Labels[v1alpha1.AirlockLabel])
		if transit.NeedsRestart(revision, &s.sidecar.result.Profile.Current) {
			names = append(names, pod.Name)
		}
	}
	return names
}

// observeNetwork adds what probes have shown of the network policy.
func (s *scope) observeNetwork(seen *posture.NetworkObservation) {
	spec := desired.Sidecar(s.workload)
	if spec == nil {
		return
	}
	seen.Observing = len(spec.Ports) > 0 && s.sidecar.stage.Stage == v1alpha1.TransitStageObserve && spec.Stage == v1alpha1.TransitStageObserve
	pods := s.airlockPods()
	seen.Reached = posture.Reached(pods, s.sidecar.closed, s.now)
	if len(pods) == 0 || len(s.sidecar.closed) == 0 {
		return
	}
	unproven, oldest, _ := posture.Proof(pods, s.sidecar.closed, s.now)
	seen.Proven, seen.ProofEnds = len(unproven) == 0, posture.ProofEnds(oldest, s.now)
	if before, kept := s.remembered(v1alpha1.ConditionNetworkIsolated, pods); kept && !seen.Proven && before.Answer == metav1.ConditionTrue {
		s.sidecar.remembered, seen.Proven, seen.ProofEnds = true, true, before.NextChange
	}
}

// transitStatus is how far the way has gone.
func (s *scope) transitStatus(seen posture.SidecarObservation) *v1alpha1.TransitStatus {
	c := &s.sidecar
	injected := int32(0)
	for _, pod := range seen.Pods {
		if pod.Injected {
			injected++
		}
	}
	pods := int32(min(len(seen.Pods), 1<<30))
	status := &v1alpha1.TransitStatus{
		Stage: c.stage.Stage, Blockers: c.stage.Blockers, ObservedSince: instant(c.stage.ObservedSince), Pods: &pods, Injected: &injected,
	}
	_, oldest, _ := posture.Proof(seen.Pods, seen.ClosedPorts, s.now)
	// A proof is renewed all the time. What the status tells of it changes with every quarter of an hour.
	status.ProbedAt = instant(oldest.Truncate(posture.ProofStep))
	status.Vantage = posture.Vantage(seen.Pods)
	var handshakes []v1alpha1.TransitUpstreamStatus
	if before := s.workload.Status.Transit; before != nil {
		handshakes = before.Upstreams
		if c.remembered {
			status.ProbedAt, status.Vantage = before.ProbedAt.DeepCopy(), before.Vantage
		}
	}
	status.Upstreams = posture.Handshakes(seen.Pods, handshakes, c.result.Upstreams, s.now)
	for _, port := range desired.Sidecar(s.workload).Ports {
		reported := v1alpha1.TransitPortStatus{Name: port.Name, Listening: listening(seen.Pods, port.Port)}
		for _, own := range c.result.Profile.Ports {
			if own.Port == port.Port {
				reported.SidecarPort = own.SidecarPort
			}
		}
		if reported.SidecarPort == 0 {
			continue
		}
		for _, companion := range c.result.Companions {
			leads := slices.ContainsFunc(companion.Ports, func(p transit.CompanionPort) bool { return p.Declared == port.Port })
			if leads && len(reported.Services) < 8 {
				reported.Services = append(reported.Services, companion.Name)
			}
		}
		status.Ports = append(status.Ports, reported)
	}
	slices.SortFunc(status.Ports, func(a, b v1alpha1.TransitPortStatus) int { return cmp.Compare(a.Name, b.Name) })
	return status
}

// listening is how the application listens at a port, the weakest of all pods.
func listening(pods []posture.AirlockPod, port int32) string {
	found := ""
	for i := range pods {
		switch pods[i].ListensAt(port) {
		case posture.ListensOnNode:
			return "NodeReachable"
		case posture.ListensOnLoopback:
			found = "LoopbackOnly"
		}
	}
	return found
}
