// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	networkingv1 "k8s.io/api/networking/v1"
)

// net answers for one set of policies of one namespace.
type net struct {
	world    *World
	policies []policy
}

// side are the ports that one side of a connection opens: all if no policy closes the direction for it.
func (n *net) side(direction networkingv1.PolicyType, pod, other *Pod) set[port] {
	var found set[port]
	closed := false
	for i := range n.policies {
		if p := &n.policies[i]; p.restricts[direction] && p.selects(pod) {
			closed = true
			found = found.union(p.opened(direction, pod, other, n.world))
		}
	}
	if !closed {
		return everyPort()
	}
	return found
}

// reachable are the ports of target that source may connect to: both sides have to open them.
func (n *net) reachable(source, target *Pod) set[port] {
	in := n.side(networkingv1.PolicyTypeIngress, target, source)
	if len(in) == 0 {
		return nil
	}
	return in.intersect(n.side(networkingv1.PolicyTypeEgress, source, target))
}

// openTo are the ports of target with a rule for anybody that the filter takes, whether such a pod exists or not; every port if
// nothing closes it.
func (n *net) openTo(target *Pod, counts func(*policy, *rule) bool) set[port] {
	var found set[port]
	closed := false
	for i := range n.policies {
		p := &n.policies[i]
		if !p.restricts[networkingv1.PolicyTypeIngress] || !p.selects(target) {
			continue
		}
		closed = true
		for j := range p.rules[networkingv1.PolicyTypeIngress] {
			if r := &p.rules[networkingv1.PolicyTypeIngress][j]; counts(p, r) {
				found = found.union(r.ports.on(target))
			}
		}
	}
	if !closed {
		return everyPort()
	}
	return found
}

func anybody(*policy, *rule) bool { return true }

// outsiders takes rules for addresses.
func outsiders(_ *policy, r *rule) bool {
	for _, one := range r.peers {
		if one.pods == nil {
			return true
		}
	}
	return r.everybody
}
