// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/internal/posture/reach"
)

const (
	in  = networkingv1.PolicyTypeIngress
	out = networkingv1.PolicyTypeEgress
)

// pod is labelled app: <app>.
func pod(namespace, name, app, ip string, ports ...reach.Port) reach.Pod {
	p := reach.Pod{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}, Ports: ports}
	if ip != "" {
		p.IPs = []netip.Addr{netip.MustParseAddr(ip)}
	}
	return p
}

func listens(name string, number int32) reach.Port {
	return reach.Port{Name: name, Number: number}
}

func world(pods []reach.Pod, policies ...networkingv1.NetworkPolicy) reach.World {
	w := reach.World{Pods: pods, Policies: policies, Namespaces: map[string]map[string]string{}}
	for _, p := range pods {
		w.Namespaces[p.Namespace] = map[string]string{corev1.LabelMetadataName: p.Namespace}
	}
	return w
}

func policy(name string, spec networkingv1.NetworkPolicySpec) networkingv1.NetworkPolicy {
	return networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: spec}
}

// allowing selects the pods labelled app: <app>, all if empty, and has the rules.
func allowing(app string, types []networkingv1.PolicyType, ingress []networkingv1.NetworkPolicyIngressRule, egress []networkingv1.NetworkPolicyEgressRule) networkingv1.NetworkPolicySpec {
	spec := networkingv1.NetworkPolicySpec{PolicyTypes: types, Ingress: ingress, Egress: egress}
	if app != "" {
		spec.PodSelector = *labelled(app)
	}
	return spec
}

func ingress(app string, rules ...networkingv1.NetworkPolicyIngressRule) networkingv1.NetworkPolicySpec {
	return allowing(app, []networkingv1.PolicyType{in}, rules, nil)
}

func egress(app string, rules ...networkingv1.NetworkPolicyEgressRule) networkingv1.NetworkPolicySpec {
	return allowing(app, []networkingv1.PolicyType{out}, nil, rules)
}

func from(peers []networkingv1.NetworkPolicyPeer, ports ...networkingv1.NetworkPolicyPort) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports}
}

func to(peers []networkingv1.NetworkPolicyPeer, ports ...networkingv1.NetworkPolicyPort) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports}
}

func peers(peers ...networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyPeer { return peers }

func labelled(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func pods(app string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: labelled(app)}
}

// podsOf is the pods labelled app: x of a namespace.
func podsOf(namespace string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}, PodSelector: labelled("x"),
	}
}

func block(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
}

func tcp(number int32) networkingv1.NetworkPolicyPort { return numbered(corev1.ProtocolTCP, number, 0) }

func numbered(protocol corev1.Protocol, first, last int32) networkingv1.NetworkPolicyPort {
	at := intstr.FromInt32(first)
	p := networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &at}
	if last > 0 {
		p.EndPort = &last
	}
	return p
}

func named(name string) networkingv1.NetworkPolicyPort {
	at := intstr.FromString(name)
	return networkingv1.NetworkPolicyPort{Port: &at}
}

// simulator answers one question at a time, from the words of the API reference of NetworkPolicy and with no sets.
type simulator struct {
	world reach.World
}

// endpoint is a pod, or an address if the pod is nil.
type endpoint struct {
	pod *reach.Pod
	ip  netip.Addr
}

func matches(selector *metav1.LabelSelector, labels map[string]string) bool {
	for key, value := range selector.MatchLabels {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	for _, e := range selector.MatchExpressions {
		value, has := labels[e.Key]
		switch e.Operator {
		case metav1.LabelSelectorOpExists:
			if !has {
				return false
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if has {
				return false
			}
		case metav1.LabelSelectorOpIn:
			if !has || !slices.Contains(e.Values, value) {
				return false
			}
		case metav1.LabelSelectorOpNotIn:
			if has && slices.Contains(e.Values, value) {
				return false
			}
		}
	}
	return true
}

func selects(spec *networkingv1.NetworkPolicySpec, pod *reach.Pod) bool {
	return !pod.HostNetwork && matches(&spec.PodSelector, pod.Labels)
}

func inBlock(b *networkingv1.IPBlock, ip netip.Addr) bool {
	for _, except := range b.Except {
		if netip.MustParsePrefix(except).Contains(ip) {
			return false
		}
	}
	return netip.MustParsePrefix(b.CIDR).Contains(ip)
}

// kind says which of the peers of a rule count.
type kind int

const (
	all kind = iota
	selectorsOnly
	blocksOnly
)

func (s simulator) isPeer(p networkingv1.NetworkPolicyPeer, home string, other endpoint, counted kind) bool {
	if p.IPBlock != nil {
		if counted == selectorsOnly {
			return false
		}
		if other.pod == nil {
			return inBlock(p.IPBlock, other.ip)
		}
		return len(other.pod.IPs) > 0 && !slices.ContainsFunc(other.pod.IPs, func(ip netip.Addr) bool { return !inBlock(p.IPBlock, ip) })
	}
	if counted == blocksOnly || other.pod == nil || other.pod.HostNetwork {
		return false
	}
	if p.NamespaceSelector == nil && other.pod.Namespace != home || p.NamespaceSelector != nil && !matches(p.NamespaceSelector, s.world.Namespaces[other.pod.Namespace]) {
		return false
	}
	return p.PodSelector == nil || matches(p.PodSelector, other.pod.Labels)
}

func isPort(p networkingv1.NetworkPolicyPort, target endpoint, protocol corev1.Protocol, number int32) bool {
	wanted := corev1.ProtocolTCP
	if p.Protocol != nil {
		wanted = *p.Protocol
	}
	if wanted != protocol {
		return false
	}
	if p.Port == nil {
		return true
	}
	if p.Port.Type == intstr.String {
		if target.pod == nil {
			return false
		}
		for _, candidate := range target.pod.Ports {
			if candidate.Name == p.Port.StrVal && (candidate.Protocol == protocol || candidate.Protocol == "" && protocol == corev1.ProtocolTCP) {
				return candidate.Number == number
			}
		}
		return false
	}
	last := p.Port.IntVal
	if p.EndPort != nil {
		last = *p.EndPort
	}
	return number >= p.Port.IntVal && number <= last
}

// opens says whether a policy that selects the pod has a rule for the other side.
func (s simulator) opens(spec *networkingv1.NetworkPolicySpec, direction networkingv1.PolicyType, pod *reach.Pod, other endpoint, protocol corev1.Protocol, number int32, counted kind) bool {
	type anyRule struct {
		peers []networkingv1.NetworkPolicyPeer
		ports []networkingv1.NetworkPolicyPort
	}
	var rules []anyRule
	target := endpoint{pod: pod}
	if direction == in {
		for _, r := range spec.Ingress {
			rules = append(rules, anyRule{r.From, r.Ports})
		}
	} else {
		target = other
		for _, r := range spec.Egress {
			rules = append(rules, anyRule{r.To, r.Ports})
		}
	}
	for _, r := range rules {
		peer := len(r.peers) == 0 || slices.ContainsFunc(r.peers, func(p networkingv1.NetworkPolicyPeer) bool { return s.isPeer(p, pod.Namespace, other, counted) })
		at := len(r.ports) == 0 || slices.ContainsFunc(r.ports, func(p networkingv1.NetworkPolicyPort) bool { return isPort(p, target, protocol, number) })
		if peer && at {
			return true
		}
	}
	return false
}

// lets says whether the policies of the pod's namespace let it talk in a direction.
func (s simulator) lets(policies []networkingv1.NetworkPolicy, direction networkingv1.PolicyType, pod *reach.Pod, other endpoint, protocol corev1.Protocol, number int32) bool {
	closed := false
	for i := range policies {
		if spec := &policies[i].Spec; slices.Contains(spec.PolicyTypes, direction) && selects(spec, pod) {
			closed = true
			if s.opens(spec, direction, pod, other, protocol, number, all) {
				return true
			}
		}
	}
	return !closed
}

func (s simulator) connect(policies []networkingv1.NetworkPolicy, source, target *reach.Pod, protocol corev1.Protocol, number int32) bool {
	return s.lets(policies, out, source, endpoint{pod: target}, protocol, number) && s.lets(policies, in, target, endpoint{pod: source}, protocol, number)
}
