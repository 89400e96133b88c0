// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
)

// NetworkFacts is what the NetworkPolicy of one LabWorkload depends on besides its spec. The order of lists does not matter.
type NetworkFacts struct {
	// Peers holds the LabWorkloads that this one names and those that name it.
	Peers Peers
	// Cluster is where DNS and the Kubernetes API are.
	Cluster Cluster
	// Services are those of the namespace.
	Services []corev1.Service
	// Pods are the governed pods and the pod templates that will make such; they decide which Services lead to them. None: the
	// labels that the selector of the LabWorkload wants stand for them.
	Pods []Pod
	// Airlocks says of LabWorkloads with provider Sidecar what the sidecar makes of their ports. One that is not in it has no sidecar yet.
	Airlocks map[types.NamespacedName]Airlock
	// Labguard chooses labguard's own pods, which read the reports of sidecars.
	Labguard Operator
	// Nodes are address blocks of nodes, from which the kubelet probes; ProbePorts are the ports of the governed pods that it probes.
	Nodes      []string
	ProbePorts []int32
	// Now decides whether an exception for plaintext has ended.
	Now time.Time
}

// Airlock is what the sidecar makes of the ports of one LabWorkload.
type Airlock struct {
	// Stage is what is in force. At Observe no port is closed, at Strict the declared ports are open to exceptions alone.
	Stage v1alpha1.TransitStage
	// Ports are the ports of the sidecar by the declared port.
	Ports map[int32]int32
}

// Operator chooses labguard's own pods. The zero value chooses none.
type Operator struct {
	Namespace string
	Labels    map[string]string
}

// Pod is what the policy depends on of a governed pod or pod template.
type Pod struct {
	// Labels of the pod.
	Labels map[string]string
	// Ports are those of the containers and of the init containers that keep running, for target ports given by name.
	Ports []corev1.ContainerPort
}

// NetworkPolicy is the policy that lw wants, whether it is enforced or not. It is nil if lw restricts neither direction: ingress is
// restricted if encryption.inTransit.ports is given, egress if network.egress is given, be it empty. A LabWorkload that is being
// deleted has none.
//
// Within a namespace one declaration opens both sides; across namespaces both have to declare. A rule is never without peers, which
// would open it to everybody, but for a port whose external peers a Service hides (Notes.SourceAddressLost).
func NetworkPolicy(lw *v1alpha1.LabWorkload, facts NetworkFacts) (*networkingv1.NetworkPolicySpec, Notes) {
	var notes Notes
	inbound, outbound := Restricts(lw)
	inbound = inbound && !observes(lw, facts.Airlocks)
	if !inbound && !outbound {
		return nil, notes
	}
	peers := make(Peers, len(facts.Peers)+1)
	for name, peer := range facts.Peers {
		if exists(peer) {
			peers[name] = peer
		}
	}
	peers[key(lw)] = lw
	spec := &networkingv1.NetworkPolicySpec{PodSelector: *lw.Spec.Selector.DeepCopy()}
	if inbound {
		spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		lost := sourceAddressLost(lw, facts)
		spec.Ingress = ingressRules(lw, peers, facts, lost)
		notes.SourceAddressLost = lost
	}
	if outbound {
		spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		spec.Egress, notes.Missing = egressRules(lw, peers, facts)
	}
	pending(lw, peers, &notes)
	requests(lw, peers, &notes)
	notes.sort()
	return spec, notes
}

// observes says whether the ports of lw are only looked at: closing them is for later stages.
func observes(lw *v1alpha1.LabWorkload, airlocks map[types.NamespacedName]Airlock) bool {
	return Sidecar(lw) != nil && airlocks[key(lw)].Stage == v1alpha1.TransitStageObserve
}

// Restricts says which directions lw restricts, for provider Sidecar at stages beyond Observe.
func Restricts(lw *v1alpha1.LabWorkload) (ingress, egress bool) {
	if !exists(lw) {
		return false, false
	}
	return len(declaredPorts(lw)) > 0, lw.Spec.Network != nil && lw.Spec.Network.Egress != nil
}
