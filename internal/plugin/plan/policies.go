// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
)

// allowed are those whom NetworkPolicies let in that labguard has not written.
func (p *planner) allowed(s *subject, open doors) {
	policies := slices.Clone(p.facts.Policies)
	slices.SortFunc(policies, func(a, b networkingv1.NetworkPolicy) int { return cmp.Compare(a.Name, b.Name) })
	for i := range policies {
		policy := &policies[i]
		if policy.Namespace != p.facts.Namespace || policy.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedByValue || !closesPorts(policy) {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil || !slices.ContainsFunc(s.templates(), func(pod desired.Pod) bool { return selector.Matches(labels.Set(pod.Labels)) }) {
			continue
		}
		for _, rule := range policy.Spec.Ingress {
			p.rule(s, open, policy.Name, rule)
		}
	}
}

func closesPorts(policy *networkingv1.NetworkPolicy) bool {
	return len(policy.Spec.PolicyTypes) == 0 || slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
}

func (p *planner) rule(s *subject, open doors, policy string, rule networkingv1.NetworkPolicyIngressRule) {
	for _, opened := range open.sorted() {
		if !opens(rule.Ports, opened.number, s.templates()) {
			continue
		}
		if len(rule.From) == 0 {
			s.Network = append(s.Network, Line{Unknown, fmt.Sprintf("who comes to port %[2]d, which NetworkPolicy %[1]s opens to everybody: name them", policy, opened.number)})
			continue
		}
		for _, from := range rule.From {
			for _, allow := range p.translated(s, opened, policy, from) {
				opened.add(allow, p.facts.Namespace, "NetworkPolicy "+policy+" lets them in")
			}
		}
	}
}

// opens says whether a rule opens a TCP port of the pods.
func opens(ports []networkingv1.NetworkPolicyPort, number int32, pods []desired.Pod) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networkingv1.NetworkPolicyPort) bool {
		switch {
		case port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP:
			return false
		case port.Port == nil:
			return true
		case port.Port.Type == intstr.Int:
			return port.Port.IntVal == number || port.EndPort != nil && port.Port.IntVal <= number && number <= *port.EndPort
		default:
			return slices.ContainsFunc(pods, func(pod desired.Pod) bool {
				return slices.ContainsFunc(pod.Ports, func(own corev1.ContainerPort) bool {
					return own.Name == port.Port.StrVal && own.ContainerPort == number
				})
			})
		}
	})
}

// translated is a peer of a policy as a LabWorkload writes it.
func (p *planner) translated(s *subject, opened *door, policy string, from networkingv1.NetworkPolicyPeer) []v1alpha1.IngressPeer {
	if from.IPBlock != nil {
		blocks := cidrs([]string{from.IPBlock.CIDR})
		if len(blocks) == 0 || len(from.IPBlock.Except) > 0 {
			s.Network = append(s.Network, Line{Unknown, fmt.Sprintf("who comes from %s, to which NetworkPolicy %s opens port %d, with exceptions or as a whole: name the blocks of the peers",
				from.IPBlock.CIDR, policy, opened.number)})
			return nil
		}
		return []v1alpha1.IngressPeer{{External: &v1alpha1.ExternalPeer{CIDRs: blocks}}}
	}
	if from.NamespaceSelector == nil {
		if clients := p.selected(from.PodSelector); len(clients) > 0 {
			return clients
		}
	}
	return []v1alpha1.IngressPeer{{Pods: &v1alpha1.PodPeer{NamespaceSelector: from.NamespaceSelector.DeepCopy(), PodSelector: from.PodSelector.DeepCopy()}}}
}

// selected are the LabWorkloads that a selector of the namespace means, if it means nothing else that is known. One for all pods names nobody.
func (p *planner) selected(by *metav1.LabelSelector) []v1alpha1.IngressPeer {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil || selector.Empty() {
		return nil
	}
	for i := range p.facts.Pods {
		pod := &p.facts.Pods[i]
		known := slices.ContainsFunc(p.subjects, func(one *subject) bool { return one.selects(pod.Labels) })
		if pod.Namespace == p.facts.Namespace && !ended(pod) && !known && selector.Matches(labels.Set(pod.Labels)) {
			return nil
		}
	}
	var found []v1alpha1.IngressPeer
	for _, one := range p.subjects {
		meant := slices.ContainsFunc(one.templates(), func(pod desired.Pod) bool { return selector.Matches(labels.Set(pod.Labels)) })
		if meant {
			found = append(found, v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Name: one.Name}})
		}
	}
	return found
}
