// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// NetworkPolicyApply is the child of lw that carries spec, as a whole intent for server-side apply. It is nil if spec is.
func NetworkPolicyApply(lw *v1alpha1.LabWorkload, spec *networkingv1.NetworkPolicySpec) *networkingv1ac.NetworkPolicyApplyConfiguration {
	if spec == nil {
		return nil
	}
	applied := networkingv1ac.NetworkPolicySpec().
		WithPodSelector(selectorApply(&spec.PodSelector)).
		WithPolicyTypes(spec.PolicyTypes...)
	for _, rule := range spec.Ingress {
		applied.WithIngress(networkingv1ac.NetworkPolicyIngressRule().WithPorts(portsApply(rule.Ports)...).WithFrom(peersApply(rule.From)...))
	}
	for _, rule := range spec.Egress {
		applied.WithEgress(networkingv1ac.NetworkPolicyEgressRule().WithPorts(portsApply(rule.Ports)...).WithTo(peersApply(rule.To)...))
	}
	return networkingv1ac.NetworkPolicy(ChildName(lw.Name), lw.Namespace).
		WithLabels(childLabels(lw)).
		WithOwnerReferences(owner(lw)).
		WithSpec(applied)
}

func portsApply(ports []networkingv1.NetworkPolicyPort) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	applied := make([]*networkingv1ac.NetworkPolicyPortApplyConfiguration, 0, len(ports))
	for _, port := range ports {
		applied = append(applied, &networkingv1ac.NetworkPolicyPortApplyConfiguration{Protocol: port.Protocol, Port: port.Port, EndPort: port.EndPort})
	}
	return applied
}

func peersApply(peers []networkingv1.NetworkPolicyPeer) []*networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	applied := make([]*networkingv1ac.NetworkPolicyPeerApplyConfiguration, 0, len(peers))
	for _, peer := range peers {
		entry := networkingv1ac.NetworkPolicyPeer()
		if peer.IPBlock != nil {
			entry.WithIPBlock(networkingv1ac.IPBlock().WithCIDR(peer.IPBlock.CIDR).WithExcept(peer.IPBlock.Except...))
		}
		entry.PodSelector, entry.NamespaceSelector = selectorApply(peer.PodSelector), selectorApply(peer.NamespaceSelector)
		applied = append(applied, entry)
	}
	return applied
}

// selectorApply keeps the difference between no selector and the empty one, which matches everything.
func selectorApply(selector *metav1.LabelSelector) *metav1ac.LabelSelectorApplyConfiguration {
	if selector == nil {
		return nil
	}
	applied := metav1ac.LabelSelector()
	if len(selector.MatchLabels) > 0 {
		applied.WithMatchLabels(selector.MatchLabels)
	}
	for _, requirement := range selector.MatchExpressions {
		applied.WithMatchExpressions(metav1ac.LabelSelectorRequirement().
			WithKey(requirement.Key).WithOperator(requirement.Operator).WithValues(requirement.Values...))
	}
	return applied
}
