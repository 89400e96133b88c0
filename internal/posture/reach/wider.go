// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// Query asks what policies of others open beyond one policy of labguard.
type Query struct {
	// Namespace of the LabWorkload.
	Namespace string
	// Ours is labguard's policy for it, as it is or as it would be. Its podSelector says which pods are governed.
	Ours networkingv1.NetworkPolicySpec
	// Policy is the name of labguard's policy. If the World has it, Ours counts in its place.
	Policy string
	// Accepted are the names of policies that the spec accepts.
	Accepted []string
}

// Wider is what policies of others open beyond labguard's own.
type Wider struct {
	// Findings are sorted by policy and direction, at most one for each.
	Findings []Finding
	// Notes are sorted lines about rules that open nothing today, and would as soon as somebody they mean exists.
	Notes []string
}

// Policies are the names of the policies with a finding, sorted, each once.
func (w Wider) Policies() []string {
	names := make([]string, 0, len(w.Findings))
	for _, finding := range w.Findings {
		names = append(names, finding.Policy)
	}
	return slices.Compact(names)
}

// Finding is one policy of somebody else that opens governed pods wider, with one example of what it lets through.
type Finding struct {
	Policy    string
	Direction networkingv1.PolicyType
	// Pod is the governed pod (namespace/name).
	Pod string
	// Peer is a pod (namespace/name), or a block of addresses.
	Peer string
	// Protocol and Port of the example, on the side that is connected to.
	Protocol corev1.Protocol
	Port     int32
	// Text is the example in words, such as "policy allow-all lets pod web/x reach port 8080 of pod pathology/lis-0".
	Text string
}

// OpenedWider computes, over what exists: for every governed pod and each direction that Ours restricts, the set (peer pod or block of
// addresses, protocol, port range) that policies of others allow, minus what Ours allows. Missing peers or ports mean all. A set that
// is not empty is a finding.
//
// What Ours allows to a block it allows to the pods in it. What others allow to a block is compared with the blocks of Ours only,
// since pods move and blocks do not. Pods in the network of their node are addresses, not pods. Families of addresses that a governed
// pod does not have are left out.
func OpenedWider(world World, query Query) Wider {
	ours := compile(query.Policy, &query.Ours)
	search := &search{world: &world, home: query.Namespace, ours: ours}
	foreign := world.policies(query.Namespace, append(slices.Clone(query.Accepted), query.Policy)...)
	var governed []*Pod
	for i := range world.Pods {
		if pod := &world.Pods[i]; pod.Namespace == query.Namespace && ours.selects(pod) {
			governed = append(governed, pod)
		}
	}
	// Most workloads have no policy of others on them, and need no look at the rest of the cluster.
	foreign = slices.DeleteFunc(foreign, func(p policy) bool { return !slices.ContainsFunc(governed, p.selects) })
	if len(foreign) == 0 {
		return Wider{}
	}
	search.classes(governed, append(slices.Clone(foreign), ours))
	var wider Wider
	for _, p := range foreign {
		for _, direction := range []networkingv1.PolicyType{networkingv1.PolicyTypeEgress, networkingv1.PolicyTypeIngress} {
			if !ours.restricts[direction] || !p.restricts[direction] {
				continue
			}
			if finding, found := search.finding(&p, direction); found {
				wider.Findings = append(wider.Findings, finding)
			}
			wider.Notes = append(wider.Notes, search.notes(&p, direction)...)
		}
	}
	slices.Sort(wider.Notes)
	wider.Notes = slices.Compact(wider.Notes)
	return wider
}

// search is what one call of OpenedWider looks through.
type search struct {
	world *World
	home  string
	ours  policy
	// governed are those of peers that ours selects; peers are all pods.
	governed, peers []*class
}

func (s *search) classes(governed []*Pod, policies []policy) {
	looks := newFeatures()
	looks.addPolicies(policies...)
	pods := make([]*Pod, 0, len(s.world.Pods))
	for i := range s.world.Pods {
		pods = append(pods, &s.world.Pods[i])
	}
	s.peers = looks.classify(pods)
	// Pods that look alike are governed alike, so a class is governed as a whole.
	mine := make(map[*Pod]bool, len(governed))
	for _, pod := range governed {
		mine[pod] = true
	}
	for _, c := range s.peers {
		if mine[c.pod] {
			s.governed = append(s.governed, c)
		}
	}
}

// finding is the first example of what a policy opens wider: a pod before an address, in order of names.
func (s *search) finding(p *policy, direction networkingv1.PolicyType) (Finding, bool) {
	for _, look := range []func(*policy, networkingv1.PolicyType, *class) (Finding, bool){s.toPods, s.toBlocks} {
		for _, side := range s.governed {
			if !p.selects(side.pod) {
				continue
			}
			if found, ok := look(p, direction, side); ok {
				return found, true
			}
		}
	}
	return Finding{}, false
}

// toPods looks for a pod that the policy lets through, by its selectors or as one of everybody, and ours does not.
func (s *search) toPods(p *policy, direction networkingv1.PolicyType, side *class) (Finding, bool) {
	byName := p.withoutBlocks(direction)
	for _, other := range s.peers {
		if other.pod.HostNetwork || !other.others(side) {
			continue
		}
		theirs := byName.opened(direction, side.pod, other.pod, s.world)
		if len(theirs) == 0 {
			continue
		}
		wider := theirs.minus(s.ours.opened(direction, side.pod, other.pod, s.world))
		if len(wider) > 0 {
			pod, peer := example(side, other)
			return s.describe(p, direction, pod, peer, wider), true
		}
	}
	return Finding{}, false
}

// withoutBlocks is the policy with what it says about pods only.
func (p *policy) withoutBlocks(direction networkingv1.PolicyType) *policy {
	var rules []rule
	for _, r := range p.rules[direction] {
		r.peers = slices.DeleteFunc(slices.Clone(r.peers), func(one peer) bool { return one.pods == nil })
		if r.everybody || len(r.peers) > 0 {
			rules = append(rules, r)
		}
	}
	return &policy{name: p.name, rules: map[networkingv1.PolicyType][]rule{direction: rules}}
}

// example picks two different pods of two classes.
func example(side, other *class) (pod, peer *Pod) {
	if side == other {
		return side.members[0], other.members[1]
	}
	return side.pod, other.pod
}

// area is a set of addresses together with a set of ports.
type area struct {
	addresses addresses
	ports     set[port]
}

// areas is what a policy opens to addresses. Names of ports have a meaning only where a governed pod is connected to.
func (p *policy) areas(direction networkingv1.PolicyType, pod *Pod) []area {
	var found []area
	for _, r := range p.rules[direction] {
		ports := r.ports.numbers
		if direction == networkingv1.PolicyTypeIngress {
			ports = r.ports.on(pod)
		}
		covered := addresses(nil)
		if r.everybody {
			covered = everyAddress()
		}
		for _, one := range r.peers {
			covered = covered.union(one.block)
		}
		if len(ports) > 0 && len(covered) > 0 {
			found = append(found, area{covered, ports})
		}
	}
	return found
}

// toBlocks looks for an address that the policy lets through and the blocks of ours do not.
func (s *search) toBlocks(p *policy, direction networkingv1.PolicyType, side *class) (Finding, bool) {
	ours := s.ours.areas(direction, side.pod)
	v4, v6 := families(side.pod)
	for _, theirs := range p.areas(direction, side.pod) {
		if v4 != v6 {
			theirs.addresses = theirs.addresses.intersect(family(v4))
		}
		if left, ok := theirs.minus(ours); ok {
			block := firstBlock(left.addresses)
			return s.describeBlock(p, direction, side.pod, block, left.ports), true
		}
	}
	return Finding{}, false
}

// minus gives a part of the area that none of the others has, if there is one. It splits the ports at each other area: outside of its
// ports it takes nothing away, within them its addresses.
func (a area) minus(others []area) (area, bool) {
	if len(a.addresses) == 0 || len(a.ports) == 0 {
		return area{}, false
	}
	if len(others) == 0 {
		return a, true
	}
	first, rest := others[0], others[1:]
	if left, ok := (area{a.addresses, a.ports.minus(first.ports)}).minus(rest); ok {
		return left, true
	}
	return area{a.addresses.minus(first.addresses), a.ports.intersect(first.ports)}.minus(rest)
}

func (s *search) describe(p *policy, direction networkingv1.PolicyType, pod, peer *Pod, wider set[port]) Finding {
	if direction == networkingv1.PolicyTypeIngress {
		at := examplePort(wider, pod)
		return finding(p, direction, pod, peer.key(), at, "policy "+p.name+" lets pod "+peer.key()+" reach "+reached(wider, at)+" of pod "+pod.key())
	}
	at := examplePort(wider, peer)
	return finding(p, direction, pod, peer.key(), at, "policy "+p.name+" lets pod "+pod.key()+" reach "+reached(wider, at)+" of pod "+peer.key())
}

func (s *search) describeBlock(p *policy, direction networkingv1.PolicyType, pod *Pod, block netip.Prefix, wider set[port]) Finding {
	if direction == networkingv1.PolicyTypeIngress {
		at := examplePort(wider, pod)
		return finding(p, direction, pod, block.String(), at, "policy "+p.name+" lets addresses in "+block.String()+" reach "+reached(wider, at)+" of pod "+pod.key())
	}
	at := wider[0].lo
	return finding(p, direction, pod, block.String(), at, "policy "+p.name+" lets pod "+pod.key()+" reach "+reached(wider, at)+" of addresses in "+block.String())
}

func finding(p *policy, direction networkingv1.PolicyType, pod *Pod, peer string, at port, text string) Finding {
	return Finding{
		Policy: p.name, Direction: direction, Pod: pod.key(), Peer: peer,
		Protocol: at.protocol(), Port: at.number(), Text: text,
	}
}

// examplePort is a port of the set on which the pod listens, as far as its containers say, else the lowest.
func examplePort(wider set[port], pod *Pod) port {
	if known := wider.intersect(pod.declared()); len(known) > 0 {
		return known[0].lo
	}
	return wider[0].lo
}

func reached(wider set[port], at port) string {
	if everyPort().within(wider) {
		return "every port"
	}
	return "port " + at.String()
}
