// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// maxSidecars is how many LabWorkloads of a namespace may have provider Sidecar: the API server looks at each of their profiles for each pod.
const maxSidecars = 50

// sidecar is what was gathered about the sidecar of a LabWorkload, and what is decided of it.
type sidecar struct {
	// profile is its own as it is, profiles those of its peers and of earlier upstreams too, by LabWorkload.
	profile  *v1alpha1.AirlockProfile
	profiles map[types.NamespacedName]*v1alpha1.AirlockProfile
	document *corev1.ConfigMap
	// services are those of the namespace and of upstreams' namespaces.
	services   []corev1.Service
	namespaces map[string]map[string]string
	// world are the live pods that peers may be.
	world []corev1.Pod
	facts map[types.UID]posture.AirlockFacts

	// What is decided: whether pods get the sidecar, the stage, and what is to exist.
	active   bool
	leaving  bool
	stage    posture.StageDecision
	result   transit.Result
	policy   *networkingv1.NetworkPolicySpec
	closed   []int32
	overlaps []string
	tooMany  bool
	mesh     []string
	// remembered says that an answer is that of the last report, since this process has not heard of all pods yet.
	remembered bool
}

// gatherSidecar reads what the sidecar depends on. The profiles of peers decide about the network policy of a LabWorkload without a sidecar too.
func (r *Reconciler) gatherSidecar(ctx context.Context, s *scope) error {
	s.sidecar.profiles = map[types.NamespacedName]*v1alpha1.AirlockProfile{}
	if err := r.gatherProfiles(ctx, s, s.workload.Namespace); err != nil {
		return err
	}
	s.sidecar.profile = s.sidecar.profiles[client.ObjectKeyFromObject(s.workload)]
	for _, namespace := range s.peerNamespaces() {
		if namespace == s.workload.Namespace {
			continue
		}
		if err := r.gatherProfiles(ctx, s, namespace); err != nil {
			return err
		}
	}
	if desired.Sidecar(s.workload) == nil {
		return nil
	}
	for _, step := range []func(context.Context, *scope) error{r.gatherServices, r.gatherPeerPods, r.gatherDocument} {
		if err := step(ctx, s); err != nil {
			return err
		}
	}
	s.sidecar.facts = r.airlockFacts(client.ObjectKeyFromObject(s.workload))
	return nil
}

func (r *Reconciler) gatherProfiles(ctx context.Context, s *scope, namespace string) error {
	var profiles v1alpha1.AirlockProfileList
	if err := r.List(ctx, &profiles, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("list AirlockProfiles of namespace %s: %w", namespace, err)
	}
	for i := range profiles.Items {
		profile := &profiles.Items[i]
		if profile.Name == desired.ChildName(profile.Spec.LabWorkload) {
			s.sidecar.profiles[types.NamespacedName{Namespace: namespace, Name: profile.Spec.LabWorkload}] = profile
		}
	}
	return nil
}

// peerNamespaces are the namespaces of the LabWorkload, of those that it names, and of upstreams of before.
func (s *scope) peerNamespaces() []string {
	names := []string{s.workload.Namespace}
	for _, key := range desired.References(s.workload) {
		names = append(names, key.Namespace)
	}
	if s.sidecar.profile != nil {
		for _, upstream := range s.sidecar.profile.Spec.Upstreams {
			namespace, _, _ := strings.Cut(upstream.Name, "/")
			names = append(names, namespace)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *Reconciler) gatherServices(ctx context.Context, s *scope) error {
	for _, namespace := range s.peerNamespaces() {
		if namespace == s.workload.Namespace {
			s.sidecar.services = append(s.sidecar.services, s.services...)
			continue
		}
		var services corev1.ServiceList
		if err := r.List(ctx, &services, client.InNamespace(namespace)); err != nil {
			return fmt.Errorf("list Services of namespace %s: %w", namespace, err)
		}
		s.sidecar.services = append(s.sidecar.services, services.Items...)
	}
	return nil
}

// gatherPeerPods reads the pods that allowFrom may mean, those of declared clients, and labguard's own.
func (r *Reconciler) gatherPeerPods(ctx context.Context, s *scope) error {
	var namespaces corev1.NamespaceList
	if err := r.List(ctx, &namespaces, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	s.sidecar.namespaces = map[string]map[string]string{}
	for i := range namespaces.Items {
		s.sidecar.namespaces[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	wanted := append(s.peerNamespaces(), r.Sidecars.Labguard.Namespace)
	if selectsAnyNamespace(s.workload) {
		wanted = []string{metav1.NamespaceAll}
	}
	slices.Sort(wanted)
	for _, namespace := range slices.Compact(wanted) {
		if namespace == s.workload.Namespace {
			s.sidecar.world = append(s.sidecar.world, live(s.found.Pods)...)
			continue
		}
		if namespace == "" && len(wanted) > 1 {
			continue // labguard does not know its own namespace
		}
		var pods corev1.PodList
		if err := r.List(ctx, &pods, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list pods of namespace %s: %w", namespace, err)
		}
		s.sidecar.world = append(s.sidecar.world, live(pods.Items)...)
	}
	return nil
}

func selectsAnyNamespace(lw *v1alpha1.LabWorkload) bool {
	for _, port := range desired.Sidecar(lw).Ports {
		for _, peer := range port.AllowFrom {
			if peer.Pods != nil && peer.Pods.NamespaceSelector != nil {
				return true
			}
		}
	}
	return false
}

func live(pods []corev1.Pod) []corev1.Pod {
	var found []corev1.Pod
	for i := range pods {
		if lives(&pods[i]) {
			found = append(found, pods[i])
		}
	}
	return found
}

func (r *Reconciler) gatherDocument(ctx context.Context, s *scope) error {
	document := &corev1.ConfigMap{}
	err := r.Get(ctx, client.ObjectKey{Namespace: s.workload.Namespace, Name: desired.ChildName(s.workload.Name)}, document)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get ConfigMap %s/%s: %w", s.workload.Namespace, desired.ChildName(s.workload.Name), err)
	}
	if err == nil {
		s.sidecar.document = document
	}
	return nil
}

// written says whether pods that start now find a document.
func (s *scope) written() bool {
	return s.sidecar.document != nil && s.sidecar.profile != nil && metav1.IsControlledBy(s.sidecar.document, s.sidecar.profile) &&
		s.sidecar.document.Data[transit.DocumentKey] != ""
}

// injectable says whether pods that start now are to get the sidecar: its document is there and its certificate was issued. A sidecar without an identity would cut
// its pod off, so the first pod waits for both; a pod that follows is not left without one because the certificate is late.
func (s *scope) injectable() bool {
	profile, document := s.sidecar.profile, s.sidecar.document
	if profile != nil && profile.Spec.Selector != nil && (document == nil || metav1.IsControlledBy(document, profile)) {
		return true
	}
	return s.written() && s.certificate.issued && s.certificate.refused == ""
}

// transitPods are the governed pods and templates as the sidecar depends on them.
func (s *scope) transitPods() []transit.Pod {
	var pods []transit.Pod
	for _, pod := range s.governed() {
		made := transit.Pod{Pod: desired.Pod{Labels: pod.Labels}, Injected: isInjected(&pod, s.workload.Name)}
		if made.Injected {
			made.Revision = pod.Labels[v1alpha1.AirlockLabel]
		}
		for _, container := range appContainers(&pod) {
			made.Ports = append(made.Ports, container.Ports...)
		}
		for _, container := range appContainers(&pod) {
			for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
				made.Probes = append(made.Probes, probed(probe, made.Ports)...)
			}
		}
		for _, alias := range pod.Spec.HostAliases {
			if !transit.IsAllocated(alias.IP) {
				made.HostNames = append(made.HostNames, alias.Hostnames...)
			}
		}
		pods = append(pods, made)
	}
	for _, pod := range s.policyPods()[len(pods):] {
		pods = append(pods, transit.Pod{Pod: pod})
	}
	return pods
}

// probed is the port that a probe asks, by number.
func probed(probe *corev1.Probe, ports []corev1.ContainerPort) []int32 {
	if probe == nil || probe.TCPSocket == nil {
		return nil
	}
	if number := probe.TCPSocket.Port.IntVal; number != 0 {
		return []int32{number}
	}
	for _, port := range ports {
		if port.Name == probe.TCPSocket.Port.StrVal {
			return []int32{port.ContainerPort}
		}
	}
	return nil
}

func worldPods(pods []corev1.Pod) []transit.WorldPod {
	made := make([]transit.WorldPod, 0, len(pods))
	for i := range pods {
		pod := transit.WorldPod{Namespace: pods[i].Namespace, Labels: pods[i].Labels}
		if pods[i].Spec.HostNetwork {
			continue // its address is that of the node, and so of everybody there
		}
		for _, address := range pods[i].Status.PodIPs {
			if ip, err := netip.ParseAddr(address.IP); err == nil {
				pod.IPs = append(pod.IPs, ip)
			}
		}
		made = append(made, pod)
	}
	return made
}

// airlockPods are the live governed pods with what their airlocks say.
func (s *scope) airlockPods() []posture.AirlockPod {
	var pods []posture.AirlockPod
	for _, pod := range s.governed() {
		made := posture.AirlockPod{Name: pod.Name, Injected: isInjected(&pod, s.workload.Name), Created: pod.CreationTimestamp.Time, Addresses: addressesOf(&pod)}
		if made.Injected {
			made.Facts = s.sidecar.facts[pod.UID]
		}
		pods = append(pods, made)
	}
	slices.SortFunc(pods, func(a, b posture.AirlockPod) int { return cmp.Compare(a.Name, b.Name) })
	return pods
}

func addressesOf(pod *corev1.Pod) []string {
	var found []string
	for _, address := range pod.Status.PodIPs {
		found = append(found, address.IP)
	}
	return found
}
