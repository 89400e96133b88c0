// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
)

// sourceAddressLost finds the Services through which external peers arrive with the address of a node: with externalTrafficPolicy
// Cluster the nodes translate the source (https://kubernetes.io/docs/tutorials/services/source-ip/), and a rule for the peers' own
// addresses would cut them off.
func sourceAddressLost(lw *v1alpha1.LabWorkload, facts NetworkFacts) []ServiceNote {
	external := map[int32]int32{} // by the port of the pod that leads to it
	airlock := airlockOf(lw, facts.Airlocks)
	for _, port := range declaredPorts(lw) {
		for _, peer := range port.AllowFrom {
			if peer.External != nil && len(blocks(cidrTexts(peer.External.CIDRs))) > 0 {
				external[port.Port] = port.Port
				if own := airlock.Ports[port.Port]; own != 0 {
					external[own] = port.Port
				}
			}
		}
	}
	if len(external) == 0 {
		return nil
	}
	pods := facts.Pods
	if len(pods) == 0 {
		pods = []Pod{{Labels: lw.Spec.Selector.MatchLabels}}
	}
	var lost []ServiceNote
	for i := range facts.Services {
		service := &facts.Services[i]
		if service.Namespace != lw.Namespace || !hidesSource(service) {
			continue
		}
		for number := range targets(service, pods) {
			if declared, leads := external[number]; leads {
				lost = append(lost, ServiceNote{Service: service.Name, Port: declared, Text: fmt.Sprintf(
					"Service %s replaces the address of external peers by that of a node, so port %d is open to all: set externalTrafficPolicy: Local", service.Name, number)})
			}
		}
	}
	return lost
}

// SourceLost are the declared ports whose external peers a Service hides.
func SourceLost(lw *v1alpha1.LabWorkload, facts NetworkFacts) map[int32]bool {
	lost := map[int32]bool{}
	for _, note := range sourceAddressLost(lw, facts) {
		lost[note.Port] = true
	}
	return lost
}

// hidesSource says whether traffic from outside of the cluster comes through the Service with the address of a node.
func hidesSource(service *corev1.Service) bool {
	switch service.Spec.Type {
	case corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
	case corev1.ServiceTypeExternalName:
		return false
	default:
		if len(service.Spec.ExternalIPs) == 0 {
			return false
		}
	}
	return service.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal
}

// targets are the TCP container ports of the pods to which the Service leads.
func targets(service *corev1.Service, pods []Pod) map[int32]bool {
	found := map[int32]bool{}
	if len(service.Spec.Selector) == 0 {
		return found
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	for _, pod := range pods {
		if !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		for _, port := range service.Spec.Ports {
			if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
				continue
			}
			if number, ok := targetPort(port, pod); ok {
				found[number] = true
			}
		}
	}
	return found
}

// Targets are the TCP container ports of the pods to which one port of a Service leads, in order.
func Targets(service *corev1.Service, port corev1.ServicePort, pods []Pod) []int32 {
	one := &corev1.Service{Spec: corev1.ServiceSpec{Selector: service.Spec.Selector, Ports: []corev1.ServicePort{port}}}
	return slices.Sorted(maps.Keys(targets(one, pods)))
}

// targetPort is the container port behind a port of a Service. A name that no container has leads nowhere.
func targetPort(port corev1.ServicePort, pod Pod) (int32, bool) {
	switch {
	case port.TargetPort.Type == intstr.String && port.TargetPort.StrVal != "":
		for _, container := range pod.Ports {
			if container.Name == port.TargetPort.StrVal && (container.Protocol == "" || container.Protocol == corev1.ProtocolTCP) {
				return container.ContainerPort, true
			}
		}
		return 0, false
	case port.TargetPort.IntVal != 0:
		return port.TargetPort.IntVal, true
	default:
		return port.Port, true
	}
}
