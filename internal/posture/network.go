// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// NetworkObservation is what was seen of the network isolation of one LabWorkload's pods. Names are for the message.
type NetworkObservation struct {
	// Enforced says that the policy is in force and written.
	Enforced bool
	// NameTaken are objects of somebody else with the name of the policy, so that it is not written.
	NameTaken []string
	// Overlaps are other LabWorkloads that select one of the same pods.
	Overlaps []string
	// SourceAddressLost are Services that hide the address of external peers.
	SourceAddressLost []string
	// OpenedWider are policies of others that open the pods wider.
	OpenedWider []string
	// HostNetwork are governed pods in the node's network.
	HostNetwork []string
	// PeerPending says of peers that this workload names what their side has to add.
	PeerPending []string
	// Missing are facts about the cluster without which no policy is written, since it would cut what the spec allows.
	Missing []string
	// Observing says that the stage of mutual TLS is Observe, so that no port is closed.
	Observing bool
	// Reached are ports that a probe of the last hour reached although the policy closes them.
	Reached []string
	// Proven says that probes of the last hour were stopped at every pod, beside connections that were let through.
	Proven bool
	// ProofEnds is when the oldest of them is too old.
	ProofEnds time.Time
	// OtherEngines are kinds of network policy that the cluster serves and labguard cannot read.
	OtherEngines []string
}

// JudgeNetwork answers NetworkIsolated. A written policy is no evidence that traffic is blocked, so without a probe the best answer
// is Unknown/NotProven. What is certainly wrong comes first, the worst at the top.
func JudgeNetwork(seen NetworkObservation) Verdict {
	no, unknown := metav1.ConditionFalse, metav1.ConditionUnknown
	switch {
	case len(seen.Overlaps) > 0:
		return verdict(no, v1alpha1.ReasonOverlap,
			"LabWorkload %s selects some of the same pods, and network policies add up: make the selectors disjoint", seen.Overlaps)
	case len(seen.HostNetwork) > 0:
		return verdict(no, v1alpha1.ReasonHostNetwork,
			"pod %s is in the node's network, where no network policy has an effect: remove hostNetwork", seen.HostNetwork)
	case !seen.Enforced:
		return verdict(no, v1alpha1.ReasonAudit, "no policy is written, since network isolation is at Audit; status.preview says what Enforce would do")
	case seen.Observing:
		return verdict(no, v1alpha1.ReasonObserving, "stage Observe closes no port: set encryption.inTransit.stage: Permissive")
	case len(seen.NameTaken) > 0:
		return verdict(no, v1alpha1.ReasonNameTaken, "no policy is written: NetworkPolicy %s exists and is not labguard's: rename or delete it", seen.NameTaken)
	case len(seen.Missing) > 0:
		return verdict(no, v1alpha1.ReasonWaiting, "the policy waits for facts about the cluster: %s", seen.Missing)
	case len(seen.SourceAddressLost) > 0:
		return verdict(no, v1alpha1.ReasonSourceAddressLost,
			"Service %s hides the address of external peers, so the port is open to all: set externalTrafficPolicy: Local", seen.SourceAddressLost)
	case len(seen.OpenedWider) > 0:
		return verdict(no, v1alpha1.ReasonOpenedWider,
			"NetworkPolicy %s opens these pods wider than the spec: narrow it, or name it under network.accept with a reason", seen.OpenedWider)
	case len(seen.Reached) > 0:
		return verdict(no, v1alpha1.ReasonPolicyIgnored,
			"labguard reached %s, which the policy closes: the cluster's network does not obey network policies, or one under network.accept opens it", seen.Reached)
	case len(seen.PeerPending) > 0:
		return verdict(no, v1alpha1.ReasonPeerPending,
			"nothing is open where both sides do not agree: %s", seen.PeerPending)
	case len(seen.OtherEngines) > 0:
		return verdict(unknown, v1alpha1.ReasonOtherPolicyEngine,
			"the cluster serves %s, which may override the policy and which labguard cannot read", seen.OtherEngines)
	case seen.Proven:
		v := verdict(metav1.ConditionTrue, v1alpha1.ReasonIsolated, "the policy is written, and probes of the last hour were stopped where it closes, beside connections that it lets through")
		v.NextChange = seen.ProofEnds
		return v
	default:
		return verdict(unknown, v1alpha1.ReasonNotProven, "the policy is written; nothing has shown yet that the cluster's network obeys it")
	}
}
