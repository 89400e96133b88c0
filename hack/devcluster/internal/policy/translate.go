// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Verdicts are those of all pods that a policy isolates, in the order of their
// addresses. The error names what could not be read, which then allows nothing.
func (c Cluster) Verdicts() ([]Verdict, error) {
	var verdicts []Verdict
	for _, pod := range c.Pods {
		v := Verdict{Pod: pod}
		for _, p := range c.Policies {
			selected, err := matches(&p.Spec.PodSelector, pod.Labels)
			if err != nil {
				return nil, fmt.Errorf("policy %s/%s: %w", p.Namespace, p.Name, err)
			}
			if p.Namespace != pod.Namespace || !selected {
				continue
			}
			if err := c.add(&v, p); err != nil {
				return nil, fmt.Errorf("policy %s/%s: %w", p.Namespace, p.Name, err)
			}
		}
		if v.Ingress != nil || v.Egress != nil {
			verdicts = append(verdicts, v)
		}
	}
	slices.SortFunc(verdicts, func(a, b Verdict) int { return a.Pod.Address.Compare(b.Pod.Address) })
	return verdicts, nil
}

// add widens v by what p allows.
func (c Cluster) add(v *Verdict, p *networkingv1.NetworkPolicy) error {
	ingress, egress := directions(p)
	if ingress {
		v.Ingress = append([]Allowance{}, v.Ingress...)
		for _, rule := range p.Spec.Ingress {
			// A named port is one of the pod that receives.
			more, err := c.allowances(p.Namespace, rule.From, rule.Ports, &v.Pod)
			if err != nil {
				return err
			}
			v.Ingress = append(v.Ingress, more...)
		}
	}
	if egress {
		v.Egress = append([]Allowance{}, v.Egress...)
		for _, rule := range p.Spec.Egress {
			more, err := c.allowances(p.Namespace, rule.To, rule.Ports, nil)
			if err != nil {
				return err
			}
			v.Egress = append(v.Egress, more...)
		}
	}
	return nil
}

// directions are those that p isolates its pods in. A policy without types is
// for ingress, and for egress if it has rules for that.
func directions(p *networkingv1.NetworkPolicy) (ingress, egress bool) {
	if len(p.Spec.PolicyTypes) == 0 {
		return true, len(p.Spec.Egress) > 0
	}
	return slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress),
		slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
}

// peers are the two kinds of them in one rule.
type peers struct {
	everybody bool
	pods      []Pod
	blocks    []Allowance
}

// allowances are those of one rule. receiver is the pod whose named ports are
// meant, nil if those of each peer are.
func (c Cluster) allowances(namespace string, from []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, receiver *Pod) ([]Allowance, error) {
	p, err := c.peers(namespace, from)
	if err != nil {
		return nil, err
	}
	if len(ports) == 0 {
		return p.over(Allowance{}), nil
	}
	var all []Allowance
	for _, port := range ports {
		switch {
		case port.Port == nil || port.Port.Type == intstr.Int:
			all = append(all, p.over(numbered(port))...)
		case receiver != nil:
			for _, number := range receiver.named(port) {
				all = append(all, p.over(Allowance{Protocol: protocol(port), First: number, Last: number})...)
			}
		default:
			all = append(all, c.namedOfPeers(p, port)...)
		}
	}
	return all, nil
}

// namedOfPeers are the allowances for a named port of those who receive. An
// address that is no pod's has no names.
func (c Cluster) namedOfPeers(p peers, port networkingv1.NetworkPolicyPort) []Allowance {
	pods := p.pods
	if p.everybody {
		pods = c.Pods
	}
	var all []Allowance
	for _, pod := range pods {
		for _, number := range pod.named(port) {
			all = append(all, Allowance{Peers: []netip.Prefix{single(pod)}, Protocol: protocol(port), First: number, Last: number})
		}
	}
	return all
}

func (c Cluster) peers(namespace string, from []networkingv1.NetworkPolicyPeer) (peers, error) {
	p := peers{everybody: len(from) == 0}
	for _, peer := range from {
		if peer.IPBlock != nil {
			block, ours, err := ipBlock(peer.IPBlock)
			if err != nil {
				return p, err
			}
			if ours {
				p.blocks = append(p.blocks, block)
			}
			continue
		}
		pods, err := c.selected(namespace, peer)
		if err != nil {
			return p, err
		}
		p.pods = append(p.pods, pods...)
	}
	slices.SortFunc(p.pods, func(a, b Pod) int { return a.Address.Compare(b.Address) })
	p.pods = slices.CompactFunc(p.pods, func(a, b Pod) bool { return a.Address == b.Address })
	return p, nil
}

// selected are the pods that a peer with selectors means.
func (c Cluster) selected(namespace string, peer networkingv1.NetworkPolicyPeer) ([]Pod, error) {
	var pods []Pod
	for _, pod := range c.Pods {
		in := pod.Namespace == namespace
		if peer.NamespaceSelector != nil {
			namespaceLabels, exists := c.Namespaces[pod.Namespace]
			matched, err := matches(peer.NamespaceSelector, namespaceLabels)
			if err != nil {
				return nil, err
			}
			in = exists && matched
		}
		if !in {
			continue
		}
		if peer.PodSelector != nil {
			matched, err := matches(peer.PodSelector, pod.Labels)
			if err != nil {
				return nil, err
			}
			in = matched
		}
		if in {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// over gives a, which has ports only, each of the peers.
func (p peers) over(a Allowance) []Allowance {
	if p.everybody {
		return []Allowance{a}
	}
	var all []Allowance
	if len(p.pods) > 0 {
		ofPods := a
		for _, pod := range p.pods {
			ofPods.Peers = append(ofPods.Peers, single(pod))
		}
		all = append(all, ofPods)
	}
	for _, block := range p.blocks {
		block.Protocol, block.First, block.Last = a.Protocol, a.First, a.Last
		all = append(all, block)
	}
	return all
}

// ipBlock reads a block; one of IPv6 is not ours, as no pod has such an address.
func ipBlock(b *networkingv1.IPBlock) (a Allowance, ours bool, err error) {
	block, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return a, false, fmt.Errorf("read ipBlock: %w", err)
	}
	if !block.Addr().Is4() {
		return a, false, nil
	}
	a.Peers = []netip.Prefix{block.Masked()}
	for _, e := range b.Except {
		except, err := netip.ParsePrefix(e)
		if err != nil {
			return a, false, fmt.Errorf("read except of ipBlock: %w", err)
		}
		a.Except = append(a.Except, except.Masked())
	}
	return a, true, nil
}

// numbered is the allowance of a port without a name, for nobody yet.
func numbered(port networkingv1.NetworkPolicyPort) Allowance {
	a := Allowance{Protocol: protocol(port)}
	if port.Port != nil {
		a.First = port.Port.IntVal
		a.Last = a.First
		if port.EndPort != nil {
			a.Last = *port.EndPort
		}
	}
	return a
}

// named are the numbers that the pod has port's name for.
func (p Pod) named(port networkingv1.NetworkPolicyPort) []int32 {
	var numbers []int32
	for _, own := range p.Ports {
		if own.Name == port.Port.StrVal && cmp.Or(own.Protocol, corev1.ProtocolTCP) == protocol(port) {
			numbers = append(numbers, own.ContainerPort)
		}
	}
	return numbers
}

func protocol(port networkingv1.NetworkPolicyPort) corev1.Protocol {
	if port.Protocol == nil {
		return corev1.ProtocolTCP
	}
	return *port.Protocol
}

func single(p Pod) netip.Prefix { return netip.PrefixFrom(p.Address, p.Address.BitLen()) }

func matches(selector *metav1.LabelSelector, set map[string]string) (bool, error) {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, fmt.Errorf("read selector: %w", err)
	}
	return s.Matches(labels.Set(set)), nil
}
