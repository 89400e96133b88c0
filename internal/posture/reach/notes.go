// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// notes are the rules of a policy that let nobody through today, because no pod is what they mean or no container has a port of the
// name, and that ours does not contain. Whether one selector contains another cannot be computed; equal ones do.
func (s *search) notes(p *policy, direction networkingv1.PolicyType) []string {
	var notes []string
	for _, r := range p.rules[direction] {
		if r.everybody {
			if len(r.ports.names) > 0 && s.idle(p, direction, &r, nil) && !s.contained(direction, nil, r.ports) {
				notes = append(notes, noteText(p, direction, "everybody"))
			}
			continue
		}
		for i := range r.peers {
			one := &r.peers[i]
			if one.pods != nil && s.idle(p, direction, &r, one) && !s.contained(direction, one, r.ports) {
				notes = append(notes, noteText(p, direction, peerWords(one)))
			}
		}
	}
	return notes
}

// idle says whether the rule opens no port between a governed pod and a pod of the peer (nil: everybody), or one of its names of
// ports is nowhere.
func (s *search) idle(p *policy, direction networkingv1.PolicyType, r *rule, one *peer) bool {
	met := map[portName]bool{}
	anybody := false
	for _, side := range s.governed {
		if !p.selects(side.pod) {
			continue
		}
		for _, other := range s.peers {
			if other.pod.HostNetwork || !other.others(side) || one != nil && !one.means(other.pod, s.home, s.world) {
				continue
			}
			anybody = true
			target := other.pod
			if direction == networkingv1.PolicyTypeIngress {
				target = side.pod
			}
			for _, name := range r.ports.names {
				if _, ok := target.named(name); ok {
					met[name] = true
				}
			}
		}
	}
	return !anybody || slices.ContainsFunc(r.ports.names, func(name portName) bool { return !met[name] })
}

// contained says whether rules of ours for everybody, or for the same peer, have all of the ports.
func (s *search) contained(direction networkingv1.PolicyType, one *peer, ports ruleports) bool {
	var numbers set[port]
	names := map[portName]bool{}
	for _, r := range s.ours.rules[direction] {
		same := func(mine peer) bool { return one != nil && s.samePeer(&mine, one) }
		if !r.everybody && !slices.ContainsFunc(r.peers, same) {
			continue
		}
		numbers = numbers.union(r.ports.numbers)
		for _, name := range r.ports.names {
			names[name] = true
		}
	}
	return ports.numbers.within(numbers) && !slices.ContainsFunc(ports.names, func(name portName) bool {
		return !names[name] && !allOf(name.protocol).within(numbers)
	})
}

// samePeer says whether two peers mean the same pods at any time: their selectors are equal, none counting as the empty one.
func (s *search) samePeer(a, b *peer) bool {
	if a.pods == nil || (a.namespaces == nil) != (b.namespaces == nil) {
		return false
	}
	return a.pods.String() == b.pods.String() && (a.namespaces == nil || a.namespaces.String() == b.namespaces.String())
}

func noteText(p *policy, direction networkingv1.PolicyType, who string) string {
	if direction == networkingv1.PolicyTypeIngress {
		return "policy " + p.name + " would let in " + who + ", and nobody uses it today"
	}
	return "policy " + p.name + " would let out to " + who + ", and nobody uses it today"
}

func peerWords(one *peer) string {
	words := "pods"
	if one.spec.PodSelector != nil && !one.pods.Empty() {
		words += " with " + metav1.FormatLabelSelector(one.spec.PodSelector)
	}
	switch {
	case one.spec.NamespaceSelector == nil:
		return words + " of this namespace"
	case one.namespaces.Empty():
		return words + " of any namespace"
	default:
		return words + " of namespaces with " + metav1.FormatLabelSelector(one.spec.NamespaceSelector)
	}
}
