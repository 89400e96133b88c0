// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/reach"
)

// gatherWorld reads what policies of others may refer to. Pods of other namespaces are read only where such a policy selects namespaces.
func (r *Reconciler) gatherWorld(ctx context.Context, s *scope) error {
	if !posture.RestrictsNetwork(&s.workload.Spec) {
		return nil
	}
	s.world = reach.World{Policies: s.otherPolicies, Namespaces: map[string]map[string]string{}}
	var namespaces corev1.NamespaceList
	if err := r.List(ctx, &namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	for i := range namespaces.Items {
		s.world.Namespaces[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	pods := s.found.Pods
	if slices.ContainsFunc(s.otherPolicies, selectsNamespaces) {
		var everywhere corev1.PodList
		if err := r.List(ctx, &everywhere, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list pods: %w", err)
		}
		pods = everywhere.Items
	}
	for i := range pods {
		if lives(&pods[i]) {
			s.world.Pods = append(s.world.Pods, worldPod(&pods[i]))
		}
	}
	if s.enforcement.Network {
		return nil
	}
	var ingresses networkingv1.IngressList
	if err := r.List(ctx, &ingresses, client.InNamespace(s.workload.Namespace)); err != nil {
		return fmt.Errorf("list Ingresses of namespace %s: %w", s.workload.Namespace, err)
	}
	s.ingresses = ingresses.Items
	return nil
}

// lives says whether a pod has not ended and is not on its way out.
func lives(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

func selectsNamespaces(policy networkingv1.NetworkPolicy) bool {
	peers := []networkingv1.NetworkPolicyPeer{}
	for _, rule := range policy.Spec.Ingress {
		peers = append(peers, rule.From...)
	}
	for _, rule := range policy.Spec.Egress {
		peers = append(peers, rule.To...)
	}
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool { return peer.NamespaceSelector != nil })
}

func worldPod(pod *corev1.Pod) reach.Pod {
	seen := reach.Pod{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, Annotations: pod.Annotations, HostNetwork: pod.Spec.HostNetwork}
	for _, address := range pod.Status.PodIPs {
		if parsed, err := netip.ParseAddr(address.IP); err == nil {
			seen.IPs = append(seen.IPs, parsed)
		}
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			for _, port := range containers[i].Ports {
				seen.Ports = append(seen.Ports, reach.Port{Name: port.Name, Protocol: port.Protocol, Number: port.ContainerPort})
			}
		}
	}
	return seen
}

// openedWider are the policies of others that open the governed pods wider than spec does.
func (s *scope) openedWider(spec *networkingv1.NetworkPolicySpec) []string {
	if spec == nil {
		return nil
	}
	query := reach.Query{Namespace: s.workload.Namespace, Ours: *spec, Policy: desired.ChildName(s.workload.Name)}
	if network := s.workload.Spec.Network; network != nil {
		for _, accepted := range network.Accept {
			query.Accepted = append(query.Accepted, accepted.Name)
		}
	}
	return reach.OpenedWider(s.world, query).Policies()
}

// losesPath names what exists and would lose its path if spec were in force.
func (s *scope) losesPath(spec *networkingv1.NetworkPolicySpec) []string {
	return reach.LosesPath(s.world, reach.Preview{
		LabWorkload: s.workload, Would: *spec, Policy: desired.ChildName(s.workload.Name), Services: s.services, Ingresses: s.ingresses,
	})
}
