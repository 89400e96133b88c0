// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
)

// Companion is the Service beside a declared one that leads to the sidecars of the same pods.
type Companion struct {
	// Name is its name, Of that of the Service beside which it stands.
	Name, Of string
	Ports    []CompanionPort

	of *corev1.Service
}

// CompanionPort is one port of a companion: the number of the Service's port, and the port of the sidecar.
type CompanionPort struct {
	Name     string
	Port     int32
	Sidecar  int32
	Declared int32
}

// companions are those of all Services that lead to a declared port of the pods. A Service without a selector, or of type ExternalName, leads to no pod.
func companions(facts Facts, allocated []v1alpha1.AllocatedPort) []Companion {
	own := map[int32]int32{}
	for _, port := range allocated {
		own[port.Port] = port.SidecarPort
	}
	pods := make([]desired.Pod, len(facts.Pods))
	for i := range facts.Pods {
		pods[i] = facts.Pods[i].Pod
	}
	var found []Companion
	for i := range facts.Services {
		of := &facts.Services[i]
		if of.Namespace != facts.Workload.Namespace || of.Spec.Type == corev1.ServiceTypeExternalName || len(of.Spec.Selector) == 0 || isCompanion(of) {
			continue
		}
		companion := Companion{Name: desired.CompanionName(of.Name), Of: of.Name, of: of}
		before := serviceNamed(facts.Services, of.Namespace, companion.Name)
		for _, port := range of.Spec.Ports {
			if cmp.Or(port.Protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP {
				continue
			}
			targets := desired.Targets(of, port, pods)
			at := slices.IndexFunc(targets, func(target int32) bool { return own[target] != 0 })
			switch {
			case at >= 0:
				companion.Ports = append(companion.Ports, CompanionPort{Name: port.Name, Port: port.Port, Sidecar: own[targets[at]], Declared: targets[at]})
			case len(targets) == 0:
				// No pod of the moment tells where the port leads, as while all are being replaced: it leads where it did.
				companion.Ports = append(companion.Ports, asBefore(facts.Workload, before, port, allocated)...)
			}
		}
		if len(companion.Ports) > 0 {
			found = append(found, companion)
		}
	}
	slices.SortFunc(found, func(a, b Companion) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// asBefore is where a port leads by the companion that is there, if that leads to the pods of lw.
func asBefore(lw *v1alpha1.LabWorkload, before *corev1.Service, port corev1.ServicePort, allocated []v1alpha1.AllocatedPort) []CompanionPort {
	if before == nil || !isCompanion(before) || before.Spec.Selector[v1alpha1.WorkloadLabel] != desired.LabelValue(lw.Name) {
		return nil
	}
	for _, known := range before.Spec.Ports {
		for _, own := range allocated {
			if known.Port == port.Port && known.TargetPort.IntVal == own.SidecarPort {
				return []CompanionPort{{Name: port.Name, Port: port.Port, Sidecar: own.SidecarPort, Declared: own.Port}}
			}
		}
	}
	return nil
}

func isCompanion(service *corev1.Service) bool {
	return service.Labels[v1alpha1.ManagedByLabel] == v1alpha1.ManagedByValue && service.Spec.Selector[v1alpha1.WorkloadLabel] != ""
}

func serviceNamed(services []corev1.Service, namespace, name string) *corev1.Service {
	for i := range services {
		if services[i].Namespace == namespace && services[i].Name == name {
			return &services[i]
		}
	}
	return nil
}

// Apply is the companion as a whole intent for server-side apply. It selects those of the Service's pods that have the sidecar of this workload; where the
// Service is switched from one set of pods to another, so is the companion.
func (c *Companion) Apply(lw *v1alpha1.LabWorkload, profile *v1alpha1.AirlockProfile) *corev1ac.ServiceApplyConfiguration {
	selector := maps.Clone(c.of.Spec.Selector)
	selector[v1alpha1.WorkloadLabel] = desired.LabelValue(lw.Name)
	spec := corev1ac.ServiceSpec().WithType(corev1.ServiceTypeClusterIP).WithSelector(selector)
	for _, port := range c.Ports {
		applied := corev1ac.ServicePort().WithPort(port.Port).WithProtocol(corev1.ProtocolTCP).WithTargetPort(intstr.FromInt32(port.Sidecar))
		if port.Name != "" {
			applied.WithName(port.Name)
		}
		spec.WithPorts(applied)
	}
	if c.of.Spec.PublishNotReadyAddresses {
		spec.WithPublishNotReadyAddresses(true)
	}
	if c.of.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		spec.WithSessionAffinity(corev1.ServiceAffinityClientIP)
	}
	if policy := c.of.Spec.IPFamilyPolicy; policy != nil && *policy != corev1.IPFamilyPolicySingleStack {
		spec.WithIPFamilyPolicy(*policy)
	}
	return corev1ac.Service(c.Name, lw.Namespace).
		WithLabels(desired.ChildLabels(lw)).
		WithOwnerReferences(desired.OwnedByProfile(profile)).
		WithSpec(spec)
}
