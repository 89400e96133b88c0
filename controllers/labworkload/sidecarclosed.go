// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/reach"
)

// notClosed says why nothing closes the declared ports in plaintext although the stage is Strict: the policy that was decided on may not be written, and the one
// that is there may be that of an earlier stage. The zero value: they are closed.
func (s *scope) notClosed() posture.Verdict {
	no := func(reason, message string) posture.Verdict {
		return posture.Verdict{Answer: metav1.ConditionFalse, Reason: reason, Message: message}
	}
	wanted := s.sidecar.policy
	switch {
	case len(desired.Sidecar(s.workload).Ports) == 0:
		return posture.Verdict{}
	case !s.enforcement.Network:
		return no(v1alpha1.ReasonAudit, "network.enforcement is Audit, so nothing closes the ports in plaintext: set it to Enforce")
	case len(s.takenPolicy()) > 0:
		return no(v1alpha1.ReasonNameTaken, "NetworkPolicy "+s.policy.Name+" exists and is not labguard's, so nothing closes the ports in plaintext: rename or delete it")
	case wanted == nil || s.policy == nil || s.policy.DeletionTimestamp != nil || opensBeyond(&s.policy.Spec, wanted, desired.Sidecar(s.workload).Ports):
		return no(v1alpha1.ReasonWaiting, "the network policy that closes the ports in plaintext is not in force yet; Ready says what it waits for")
	default:
		return posture.Verdict{}
	}
}

// opensBeyond says whether a policy lets in at a declared port what another one does not. Rules of other ports change all the time, and say nothing of plaintext;
// so does that of the kubelet's probes, which follows the pods.
func opensBeyond(live, wanted *networkingv1.NetworkPolicySpec, ports []v1alpha1.TransitPort) bool {
	if !slices.Contains(live.PolicyTypes, networkingv1.PolicyTypeIngress) || !equality.Semantic.DeepEqual(live.PodSelector, wanted.PodSelector) {
		return true
	}
	ofProbes := []v1alpha1.TransitPort{{Port: transit.HealthPort}}
	return slices.ContainsFunc(live.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return opensDeclared(rule, ports) && (len(rule.Ports) == 0 || !opensDeclared(rule, ofProbes)) && !slices.ContainsFunc(wanted.Ingress, func(known networkingv1.NetworkPolicyIngressRule) bool {
			return equality.Semantic.DeepEqual(rule, known)
		})
	})
}

func opensDeclared(rule networkingv1.NetworkPolicyIngressRule, declared []v1alpha1.TransitPort) bool {
	return len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, func(open networkingv1.NetworkPolicyPort) bool {
		return open.Port == nil || open.Port.StrVal != "" || slices.ContainsFunc(declared, func(port v1alpha1.TransitPort) bool {
			last := open.Port.IntVal
			if open.EndPort != nil {
				last = *open.EndPort
			}
			return open.Port.IntVal <= port.Port && port.Port <= last
		})
	})
}

// openedPorts are the policies of others that let somebody in at declared ports beyond the policy of Strict. That the spec accepts a policy makes it no mutual TLS.
func (s *scope) openedPorts() []string {
	if s.sidecar.policy == nil || s.sidecar.stage.Stage != v1alpha1.TransitStageStrict {
		return nil
	}
	ours := s.sidecar.policy.DeepCopy()
	ours.Ingress = append(ours.Ingress, networkingv1.NetworkPolicyIngressRule{Ports: allBut(desired.Sidecar(s.workload).Ports)})
	found := reach.OpenedWider(s.world, reach.Query{Namespace: s.workload.Namespace, Ours: *ours, Policy: desired.ChildName(s.workload.Name)})
	found.Findings = slices.DeleteFunc(found.Findings, func(finding reach.Finding) bool { return finding.Direction != networkingv1.PolicyTypeIngress })
	return found.Policies()
}

// allBut are all ports of which mutual TLS says nothing.
func allBut(declared []v1alpha1.TransitPort) []networkingv1.NetworkPolicyPort {
	const last = 65535
	var ports []networkingv1.NetworkPolicyPort
	add := func(protocol corev1.Protocol, from, to int32) {
		if from <= to {
			ports = append(ports, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: new(intstr.FromInt32(from)), EndPort: &to})
		}
	}
	add(corev1.ProtocolUDP, 1, last)
	add(corev1.ProtocolSCTP, 1, last)
	next := int32(1)
	for _, port := range slices.SortedFunc(slices.Values(declared), func(a, b v1alpha1.TransitPort) int { return cmp.Compare(a.Port, b.Port) }) {
		add(corev1.ProtocolTCP, next, port.Port-1)
		next = port.Port + 1
	}
	add(corev1.ProtocolTCP, next, last)
	return ports
}

// unshown is the digest of the configuration that airlocks have to use before Strict is shown; "" where it was shown before. A report of a moment ago may be one of
// Permissive.
func (s *scope) unshown() string {
	status, document := &s.workload.Status, s.sidecar.result.Document
	if s.sidecar.stage.Stage != v1alpha1.TransitStageStrict || len(document) == 0 {
		return ""
	}
	if status.Transit != nil && status.Transit.Stage == v1alpha1.TransitStageStrict && meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionTransitEncrypted) {
		return ""
	}
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// suspendedStage is what is in force while labguard writes nothing: what would come next does not.
func (s *scope) suspendedStage() posture.StageDecision {
	decided := posture.StageDecision{Stage: v1alpha1.TransitStageObserve, Blockers: []string{"labguard writes nothing here while spec.suspend is true"}}
	if s.sidecar.profile != nil {
		decided.Stage = s.sidecar.profile.Spec.Stage
	}
	if status := s.workload.Status.Transit; status != nil && status.ObservedSince != nil {
		decided.ObservedSince = status.ObservedSince.Time
	}
	return decided
}

// remembered is what the status says of a condition, where that stands until airlocks have been asked.
func (s *scope) remembered(condition string, pods []posture.AirlockPod) (posture.Verdict, bool) {
	status := s.workload.Status
	if status.Transit == nil {
		return posture.Verdict{}, false
	}
	last := posture.LastProof{
		Condition: meta.FindStatusCondition(status.Conditions, condition), Generation: s.workload.Generation,
		Stage: s.sidecar.stage.Stage, StageBefore: status.Transit.Stage,
	}
	if status.Transit.ProbedAt != nil {
		last.ProbedAt = status.Transit.ProbedAt.Time
	}
	return posture.Remembered(last, pods, s.sidecar.closed, s.now)
}
