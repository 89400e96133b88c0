// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
)

// clientsInTheWay says of the declared clients in the cluster what keeps them from speaking mutual TLS: Strict would cut them off.
func (s *scope) clientsInTheWay(built transit.Result) []string {
	var lines []string
	for name, clientOf := range s.peers() {
		agreed := desired.AgreedPorts(clientOf, s.workload)
		if len(agreed) > 0 {
			lines = append(lines, s.clientInTheWay(name, clientOf, agreed, built)...)
		}
	}
	for _, port := range desired.Sidecar(s.workload).Ports {
		for _, peer := range port.AllowFrom {
			if peer.Pods != nil && !desired.PlaintextOpen(peer, s.now) {
				lines = append(lines, s.podsInTheWay(port, peer.Pods)...)
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// cutOff says of declared clients why Strict does not let them in. It was entered when all of them could speak mutual TLS, and is not left for one that no longer can.
func (s *scope) cutOff() []string {
	if s.sidecar.stage.Stage != v1alpha1.TransitStageStrict {
		return nil
	}
	lines, known := s.clientsInTheWay(s.sidecar.result), s.peers()
	for _, port := range desired.Sidecar(s.workload).Ports {
		for _, peer := range port.AllowFrom {
			if peer.LabWorkload == nil {
				continue
			}
			name := types.NamespacedName{Namespace: cmp.Or(peer.LabWorkload.Namespace, s.workload.Namespace), Name: peer.LabWorkload.Name}
			if known[name] == nil {
				lines = append(lines, fmt.Sprintf("there is no LabWorkload %s, so its pods get no airlock", name))
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func (s *scope) clientInTheWay(name types.NamespacedName, clientOf *v1alpha1.LabWorkload, agreed []int32, built transit.Result) []string {
	if desired.Sidecar(clientOf) == nil {
		if clientOf.Spec.Encryption != nil && clientOf.Spec.Encryption.InTransit != nil {
			return nil // the application speaks mutual TLS itself; one that does not is seen in plaintext
		}
		return []string{fmt.Sprintf("LabWorkload %s is a client without mutual TLS: give it provider Sidecar", name)}
	}
	profile := s.sidecar.profiles[name]
	// Pods that do not run now come back, as those of a CronJob do, and get what the profile says.
	if profile == nil || profile.Spec.Selector == nil {
		return []string{fmt.Sprintf("client %s: its pods get no airlock: see TransitEncrypted of the client", name)}
	}
	pods := s.livePodsOf(clientOf)
	if len(pods) == 0 && !covers(s.workload.Namespace, profile, &profile.Spec.Current, s.sidecar.services, agreed, built) {
		return []string{fmt.Sprintf("client %s does not reach this workload through airlock: see TransitEncrypted of the client", name)}
	}
	var without, uncovered []string
	for i := range pods {
		revision := transit.RevisionOf(profile, pods[i].Labels[v1alpha1.AirlockLabel])
		switch {
		case !isInjected(&pods[i], clientOf.Name):
			without = append(without, pods[i].Name)
		case !covers(s.workload.Namespace, profile, revision, s.sidecar.services, agreed, built):
			uncovered = append(uncovered, pods[i].Name)
		}
	}
	var lines []string
	if len(without) > 0 {
		lines = append(lines, fmt.Sprintf("client %s: pod %s has no airlock", name, firstOf(without)))
	}
	if len(uncovered) > 0 {
		lines = append(lines, fmt.Sprintf("client %s: pod %s does not reach this workload through airlock: see TransitEncrypted of the client, or replace the pod", name, firstOf(uncovered)))
	}
	return lines
}

func firstOf(names []string) string {
	slices.Sort(names)
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// covers says whether a pod of a client reaches each agreed port through its airlock, by the Services with an address that lead there.
func covers(
	namespace string, profile *v1alpha1.AirlockProfile, revision *v1alpha1.AirlockRevision, services []corev1.Service, agreed []int32, built transit.Result,
) bool {
	if profile == nil || revision == nil {
		return false
	}
	reached := map[int32]bool{}
	for _, companion := range built.Companions {
		at := slices.IndexFunc(services, func(service corev1.Service) bool {
			return service.Namespace == namespace && service.Name == companion.Of
		})
		if at < 0 || services[at].Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		for _, port := range companion.Ports {
			if !slices.Contains(agreed, port.Declared) {
				continue
			}
			if !transit.StandsFor(profile, revision, &services[at], port.Port) {
				return false
			}
			reached[port.Declared] = true
		}
	}
	return !slices.ContainsFunc(agreed, func(port int32) bool { return !reached[port] })
}

// podsInTheWay are pods that a port names by their labels, and that can neither speak mutual TLS nor have an exception.
func (s *scope) podsInTheWay(port v1alpha1.TransitPort, peer *v1alpha1.PodPeer) []string {
	var names []string
	for i := range s.sidecar.world {
		pod := &s.sidecar.world[i]
		seen := transit.WorldPod{Namespace: pod.Namespace, Labels: pod.Labels}
		if !hasAirlock(pod) && transit.Means(peer, s.workload.Namespace, seen, s.sidecar.namespaces) && !s.selector.Matches(labels.Set(pod.Labels)) {
			names = append(names, pod.Namespace+"/"+pod.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("port %s names pod %s by labels, which speaks no mutual TLS: give it plaintext with a reason and an end, or a LabWorkload", port.Name, firstOf(names))}
}

func (s *scope) livePodsOf(lw *v1alpha1.LabWorkload) []corev1.Pod {
	selector, err := metav1.LabelSelectorAsSelector(&lw.Spec.Selector)
	if err != nil {
		return nil
	}
	var pods []corev1.Pod
	for i := range s.sidecar.world {
		if pod := &s.sidecar.world[i]; pod.Namespace == lw.Namespace && selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, *pod)
		}
	}
	return pods
}
