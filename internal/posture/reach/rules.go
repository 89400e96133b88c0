// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// policy is a NetworkPolicy that was read once and is asked often.
type policy struct {
	name     string
	selector labels.Selector
	// restricts says which directions it closes; rules what it opens in them.
	restricts map[networkingv1.PolicyType]bool
	rules     map[networkingv1.PolicyType][]rule
}

// rule lets its peers through on its ports.
type rule struct {
	// everybody: the rule names no peers.
	everybody bool
	peers     []peer
	ports     ruleports
}

// peer is pods by labels, or a block of addresses.
type peer struct {
	spec networkingv1.NetworkPolicyPeer
	// namespaces is nil for the namespace of the policy.
	namespaces, pods labels.Selector
	block            addresses
}

func compile(name string, spec *networkingv1.NetworkPolicySpec) policy {
	types := spec.PolicyTypes
	if len(types) == 0 {
		// As the API server defaults it.
		types = append(types, networkingv1.PolicyTypeIngress)
		if len(spec.Egress) > 0 {
			types = append(types, networkingv1.PolicyTypeEgress)
		}
	}
	compiled := policy{
		name: name, selector: selector(&spec.PodSelector),
		restricts: map[networkingv1.PolicyType]bool{}, rules: map[networkingv1.PolicyType][]rule{},
	}
	for _, direction := range types {
		compiled.restricts[direction] = true
	}
	if compiled.restricts[networkingv1.PolicyTypeIngress] {
		for _, in := range spec.Ingress {
			compiled.add(networkingv1.PolicyTypeIngress, in.From, in.Ports)
		}
	}
	if compiled.restricts[networkingv1.PolicyTypeEgress] {
		for _, out := range spec.Egress {
			compiled.add(networkingv1.PolicyTypeEgress, out.To, out.Ports)
		}
	}
	return compiled
}

func (p *policy) add(direction networkingv1.PolicyType, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
	compiled := rule{everybody: len(peers) == 0, ports: compilePorts(ports)}
	for _, spec := range peers {
		one := peer{spec: spec}
		switch {
		case spec.IPBlock != nil:
			one.block = compileBlock(spec.IPBlock)
		case spec.PodSelector != nil:
			one.pods = selector(spec.PodSelector)
		default:
			one.pods = labels.Everything()
		}
		if spec.NamespaceSelector != nil {
			one.namespaces = selector(spec.NamespaceSelector)
		}
		compiled.peers = append(compiled.peers, one)
	}
	p.rules[direction] = append(p.rules[direction], compiled)
}

// selector reads a label selector. One that does not parse, which the API refuses, selects nothing.
func selector(spec *metav1.LabelSelector) labels.Selector {
	compiled, err := metav1.LabelSelectorAsSelector(spec)
	if err != nil {
		return labels.Nothing()
	}
	return compiled
}

// policies reads those of a namespace, sorted by name, without the ones that skip names.
func (w *World) policies(namespace string, skip ...string) []policy {
	var found []policy
	for i := range w.Policies {
		if p := &w.Policies[i]; p.Namespace == namespace && !slices.Contains(skip, p.Name) {
			found = append(found, compile(p.Name, &p.Spec))
		}
	}
	slices.SortFunc(found, func(a, b policy) int { return cmp.Compare(a.name, b.name) })
	return found
}

// selects says whether the policy applies to a pod of its namespace.
func (p *policy) selects(pod *Pod) bool {
	return !pod.HostNetwork && p.selector.Matches(labels.Set(pod.Labels))
}

// means says whether a pod is among the peer, for a policy of the namespace home.
func (p *peer) means(pod *Pod, home string, world *World) bool {
	switch {
	case p.pods == nil:
		return pod.inside(p.block)
	case pod.HostNetwork, p.namespaces == nil && pod.Namespace != home:
		return false
	case p.namespaces != nil && !p.namespaces.Matches(labels.Set(world.Namespaces[pod.Namespace])):
		return false
	default:
		return p.pods.Matches(labels.Set(pod.Labels))
	}
}

func (r *rule) means(pod *Pod, home string, world *World) bool {
	return r.everybody || slices.ContainsFunc(r.peers, func(p peer) bool { return p.means(pod, home, world) })
}

// opened are the ports that the rules of a direction open between a pod that the policy selects and a peer. Names of ports mean those of
// the pod that is connected to.
func (p *policy) opened(direction networkingv1.PolicyType, pod, other *Pod, world *World) set[port] {
	target := pod
	if direction == networkingv1.PolicyTypeEgress {
		target = other
	}
	var found set[port]
	for i := range p.rules[direction] {
		if r := &p.rules[direction][i]; r.means(other, pod.Namespace, world) {
			found = found.union(r.ports.on(target))
		}
	}
	return found
}
