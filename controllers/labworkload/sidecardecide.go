// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// meshContainers are the containers by which meshes are known.
var meshContainers = []string{"istio-proxy", "linkerd-proxy", "envoy-sidecar", "consul-dataplane", "kuma-sidecar"}

// decideSidecar decides the stage and builds what is to exist. It comes before the network policy, which depends on the stage.
func (r *Reconciler) decideSidecar(s *scope) {
	spec := desired.Sidecar(s.workload)
	if spec == nil {
		return
	}
	c := &s.sidecar
	c.overlaps, c.tooMany, c.mesh = s.olderSidecars(), s.sidecarsBefore() >= maxSidecars, s.meshPods()
	goal := cmp.Or(spec.Stage, v1alpha1.TransitStagePermissive)
	c.active = s.wantsSidecar(goal) && (c.profile != nil || s.issuerAllowed && r.Sidecars.Image != "")
	c.leaving = !c.active && c.profile != nil
	if c.active {
		c.stage = posture.DecideStage(r.stageObservation(s, spec, goal), s.now)
	} else {
		c.stage = posture.StageDecision{Stage: v1alpha1.TransitStageObserve}
		if c.leaving && goal != v1alpha1.TransitStageObserve {
			c.stage.Stage = v1alpha1.TransitStagePermissive
		}
	}
	if s.workload.Spec.Suspend {
		c.stage = s.suspendedStage()
	}
	if c.active || c.leaving {
		c.result = transit.Build(r.transitFacts(s))
		c.closed = s.closedPorts(r.Sidecars.Labguard)
	}
}

// wantsSidecar says whether pods are to get the sidecar, as far as the spec and the other LabWorkloads go.
func (s *scope) wantsSidecar(goal v1alpha1.TransitStage) bool {
	c := &s.sidecar
	// Whoever may create a pod can make it look like one of a mesh, and whoever may create a LabWorkload can have it select these pods: that keeps the sidecar
	// from coming, and does not take away one that is there, which would open plaintext.
	free := len(c.mesh) == 0 && !c.tooMany || s.selects(s.workload)
	return s.enforcement.Transit && goal != v1alpha1.TransitStageObserve && s.selectorError == nil && len(c.overlaps) == 0 && free
}

// inForce is the stage that is in force before anything is decided; empty if none is.
func (s *scope) inForce() v1alpha1.TransitStage {
	switch {
	case s.sidecar.profile != nil && s.sidecar.profile.Spec.Selector != nil:
		return s.sidecar.profile.Spec.Stage
	case s.sidecar.profile == nil && s.workload.Status.Transit != nil:
		return s.workload.Status.Transit.Stage
	default:
		return ""
	}
}

func (r *Reconciler) stageObservation(s *scope, spec *v1alpha1.InTransitSpec, goal v1alpha1.TransitStage) posture.StageObservation {
	seen := posture.StageObservation{
		Goal: goal, InForce: s.inForce(), Ports: len(spec.Ports), NetworkEnforced: s.enforcement.Network, Pods: s.airlockPods(),
		Acknowledged: acknowledged(spec), TrustDomain: r.Platform.TrustDomain,
	}
	if d, err := time.ParseDuration(string(spec.ObserveFor)); err == nil {
		seen.ObserveFor = d
	}
	if status := s.workload.Status.Transit; status != nil && status.ObservedSince != nil {
		seen.ObservedSince = status.ObservedSince.Time
	}
	facts := r.transitFacts(s)
	facts.Stage = v1alpha1.TransitStagePermissive
	built := transit.Build(facts)
	seen.Clients = s.clientsInTheWay(built)
	seen.Wrong = r.inTheWay(s, built)
	return seen
}

func acknowledged(spec *v1alpha1.InTransitSpec) *int64 {
	if spec.Acknowledged == nil {
		return nil
	}
	return spec.Acknowledged.UnattributedConnections
}

// inTheWay is what has to be mended before Strict, besides the pods and the clients.
func (r *Reconciler) inTheWay(s *scope, built transit.Result) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if !s.issuerAllowed {
		add("the issuer is not in labguard's configuration")
	}
	if s.certificate.refused != "" {
		add("peers refuse the certificate: %s", s.certificate.refused)
	}
	if s.sidecar.profile == nil || !s.written() {
		add("the sidecar's configuration is not written yet")
	}
	for _, authority := range built.Notes.Unknown {
		add("%s is not in labguard's configuration", authority)
	}
	if reached := posture.Reached(s.airlockPods(), s.closedPorts(r.Sidecars.Labguard), s.now); len(reached) > 0 {
		add("labguard reached %s, which the network policy closes: the cluster's network does not obey it", posture.List(reached))
	}
	for _, name := range s.takenPolicy() {
		add("NetworkPolicy %s exists and is not labguard's, so nothing would close the ports in plaintext", name)
	}
	if _, notes := desired.NetworkPolicy(s.workload, s.networkFacts(r.Sidecars)); len(notes.Missing) > 0 {
		add("the network policy waits for facts about the cluster: %s", posture.List(notes.Missing))
	}
	lost := desired.SourceLost(s.workload, s.networkFacts(r.Sidecars))
	for _, port := range desired.Sidecar(s.workload).Ports {
		if lost[port.Port] && slices.ContainsFunc(port.AllowFrom, func(peer v1alpha1.IngressPeer) bool {
			return peer.External != nil && desired.PlaintextOpen(peer, s.now)
		}) {
			add("a Service hides the address of the external peers of port %s, to whom plaintext is open: set externalTrafficPolicy: Local", port.Name)
		}
	}
	return lines
}

func (r *Reconciler) transitFacts(s *scope) transit.Facts {
	facts := transit.Facts{
		Workload: s.workload, Stage: s.sidecar.stage.Stage, Leaving: s.sidecar.leaving, Written: s.injectable(), Previous: s.sidecar.profile,
		Platform: transit.Platform{
			TrustDomain: r.Platform.TrustDomain, ClusterDomain: r.Platform.ClusterDomain, Image: r.Sidecars.Image, Bundles: r.Sidecars.Bundles,
			Salt: r.Sidecars.Salt,
		},
		Peers: s.peers(), Profiles: s.sidecar.profiles, Services: s.sidecar.services, Pods: s.transitPods(), World: worldPods(s.sidecar.world),
		Namespaces: s.sidecar.namespaces, Now: s.now,
	}
	facts.SourceLost = desired.SourceLost(s.workload, s.networkFacts(r.Sidecars))
	if facts.Platform.Image == "" && facts.Previous != nil {
		facts.Platform.Image = facts.Previous.Spec.Current.Image
	}
	return facts
}

func (s *scope) peers() desired.Peers {
	peers := make([]*v1alpha1.LabWorkload, 0, len(s.siblings)+len(s.foreign))
	for i := range s.siblings {
		peers = append(peers, &s.siblings[i])
	}
	for _, peer := range s.foreign {
		peers = append(peers, peer)
	}
	return desired.NewPeers(peers...)
}

// olderSidecars are LabWorkloads with provider Sidecar that select one of the same pods and were there before: a pod has one identity.
func (s *scope) olderSidecars() []string {
	var names []string
	for i := range s.siblings {
		other := &s.siblings[i]
		if other.Name == s.workload.Name || desired.Sidecar(other) == nil || !s.comesFirst(other) {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&other.Spec.Selector)
		if err == nil && s.sharesPodWith(selector) {
			names = append(names, other.Name)
		}
	}
	return names
}

// comesFirst says whether the pods that another LabWorkload selects too are the other's: those of the one that has them, else of the older one.
func (s *scope) comesFirst(other *v1alpha1.LabWorkload) bool {
	if theirs, ours := s.selects(other), s.selects(s.workload); theirs != ours {
		return theirs
	}
	return before(other, s.workload)
}

// selects says whether pods get the sidecar of a LabWorkload of the namespace now.
func (s *scope) selects(lw *v1alpha1.LabWorkload) bool {
	profile := s.sidecar.profiles[types.NamespacedName{Namespace: lw.Namespace, Name: lw.Name}]
	return profile != nil && profile.Spec.Selector != nil
}

func (s *scope) sidecarsBefore() int {
	count := 0
	for i := range s.siblings {
		if other := &s.siblings[i]; other.Name != s.workload.Name && desired.Sidecar(other) != nil && before(other, s.workload) {
			count++
		}
	}
	return count
}

func before(a, b *v1alpha1.LabWorkload) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name < b.Name
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

func (s *scope) meshPods() []string {
	var names []string
	for _, pod := range s.governed() {
		for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			if slices.ContainsFunc(containers, func(c corev1.Container) bool { return slices.Contains(meshContainers, c.Name) }) {
				names = append(names, pod.Name)
				break
			}
		}
	}
	return names
}

// closedPorts are the declared ports that labguard's own pods must not reach in plaintext: those that nothing in the spec opens to them.
func (s *scope) closedPorts(labguard desired.Operator) []int32 {
	if !s.enforcement.Network || s.sidecar.stage.Stage == v1alpha1.TransitStageObserve {
		return nil
	}
	var own []transit.WorldPod
	for _, pod := range worldPods(s.sidecar.world) {
		if pod.Namespace == labguard.Namespace && labels.SelectorFromSet(labguard.Labels).Matches(labels.Set(pod.Labels)) {
			own = append(own, pod)
		}
	}
	strict := s.sidecar.stage.Stage == v1alpha1.TransitStageStrict
	var closed []int32
	for _, port := range desired.Sidecar(s.workload).Ports {
		opened := slices.ContainsFunc(port.AllowFrom, func(peer v1alpha1.IngressPeer) bool {
			return (!strict || desired.PlaintextOpen(peer, s.now)) && s.meansAny(peer, own)
		})
		if lost := desired.SourceLost(s.workload, desired.NetworkFacts{Services: s.services, Pods: s.policyPods()}); !opened && (strict || !lost[port.Port]) {
			closed = append(closed, port.Port)
		}
	}
	slices.Sort(closed)
	return closed
}

func (s *scope) meansAny(peer v1alpha1.IngressPeer, pods []transit.WorldPod) bool {
	for _, pod := range pods {
		if peer.Pods != nil && transit.Means(peer.Pods, s.workload.Namespace, pod, s.sidecar.namespaces) {
			return true
		}
		if peer.External != nil && transit.Covers(peer.External.CIDRs, pod.IPs) {
			return true
		}
	}
	return false
}

// targets are the pods that are to be asked, and what is to be tried.
func (r *Reconciler) targets(s *scope) []posture.AirlockTarget {
	var targets []posture.AirlockTarget
	for _, pod := range s.governed() {
		if isInjected(&pod, s.workload.Name) && len(pod.Status.PodIPs) > 0 && !pod.Spec.HostNetwork {
			targets = append(targets, posture.AirlockTarget{
				Pod: client.ObjectKeyFromObject(&pod), UID: pod.UID, Node: pod.Spec.NodeName, Addresses: addressesOf(&pod),
				ID: desired.SPIFFEID(s.workload, r.Platform.TrustDomain), ClosedPorts: s.sidecar.closed,
			})
		}
	}
	return targets
}

// airlocks says what sidecars make of the ports of this LabWorkload and of its peers, for the network policy.
func (s *scope) airlocks() map[types.NamespacedName]desired.Airlock {
	known := map[types.NamespacedName]desired.Airlock{}
	for name, profile := range s.sidecar.profiles {
		known[name] = airlockOf(profile.Spec.Stage, profile.Spec.Ports)
	}
	own := client.ObjectKeyFromObject(s.workload)
	switch {
	case desired.Sidecar(s.workload) == nil:
	case s.sidecar.active || s.sidecar.leaving:
		ports := s.sidecar.result.Profile.Ports
		if ports == nil && s.sidecar.profile != nil {
			ports = s.sidecar.profile.Spec.Ports
		}
		known[own] = airlockOf(s.sidecar.stage.Stage, ports)
	case desired.Sidecar(s.workload).Stage == v1alpha1.TransitStageObserve:
		known[own] = desired.Airlock{Stage: v1alpha1.TransitStageObserve}
	}
	return known
}

func airlockOf(stage v1alpha1.TransitStage, ports []v1alpha1.AllocatedPort) desired.Airlock {
	made := desired.Airlock{Stage: stage, Ports: map[int32]int32{}}
	for _, port := range ports {
		made.Ports[port.Port] = port.SidecarPort
	}
	return made
}
