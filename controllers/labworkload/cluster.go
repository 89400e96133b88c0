// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/desired"
)

// kubernetesService is the Service of the Kubernetes API.
var kubernetesService = types.NamespacedName{Namespace: "default", Name: "kubernetes"}

func (r *Reconciler) dnsService() types.NamespacedName {
	return types.NamespacedName{Namespace: r.Platform.DNSNamespace, Name: r.Platform.DNSService}
}

// gatherCluster reads where DNS and the Kubernetes API are now: neither address is fixed for the life of a cluster.
func (r *Reconciler) gatherCluster(ctx context.Context, s *scope) error {
	s.cluster = desired.Cluster{
		TrustDomain: r.Platform.TrustDomain, ClusterDomain: r.Platform.ClusterDomain,
		DNS: desired.DNS{Namespace: r.Platform.DNSNamespace, NodeLocal: r.Platform.NodeLocalDNS},
	}
	if !restrictsEgress(s.workload) {
		return nil
	}
	var names, kubernetes corev1.Service
	for key, service := range map[types.NamespacedName]*corev1.Service{r.dnsService(): &names, kubernetesService: &kubernetes} {
		if err := client.IgnoreNotFound(r.Get(ctx, key, service)); err != nil {
			return fmt.Errorf("get Service %s: %w", key, err)
		}
	}
	s.cluster.DNS.Selector, s.cluster.DNS.ClusterIPs = names.Spec.Selector, names.Spec.ClusterIPs
	for _, port := range names.Spec.Ports {
		s.cluster.DNS.TargetPorts = append(s.cluster.DNS.TargetPorts, port.TargetPort)
	}
	s.cluster.KubernetesAPI.ClusterIPs = kubernetes.Spec.ClusterIPs
	var endpoints discoveryv1.EndpointSliceList
	err := r.List(ctx, &endpoints, client.InNamespace(kubernetesService.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: kubernetesService.Name})
	if err != nil {
		return fmt.Errorf("list the endpoints of the Kubernetes API: %w", err)
	}
	for i := range endpoints.Items {
		s.cluster.KubernetesAPI.Endpoints = append(s.cluster.KubernetesAPI.Endpoints, addresses(&endpoints.Items[i])...)
	}
	return nil
}

func addresses(slice *discoveryv1.EndpointSlice) []desired.AddressPort {
	var found []desired.AddressPort
	for _, port := range slice.Ports {
		if port.Port == nil {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				found = append(found, desired.AddressPort{Address: address, Port: *port.Port})
			}
		}
	}
	return found
}
