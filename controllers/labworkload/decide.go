// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
)

// maxPreview is how many lines a list of the preview has before "and N more".
const maxPreview = 20

// decide asks posture about every requirement that the spec makes, and builds the children.
func (r *Reconciler) decide(s *scope) (*decision, intent) {
	d, wanted := &decision{}, intent{}
	r.decideSidecar(s)
	if posture.RestrictsNetwork(&s.workload.Spec) {
		r.decideNetwork(s, d, &wanted)
	}
	switch {
	case desired.Sidecar(s.workload) != nil:
		r.judgeSidecar(s, d, &wanted)
	case posture.Transit(&s.workload.Spec) != nil:
		r.decideTransit(s, d, &wanted)
	}
	if s.workload.Spec.Images != nil {
		r.decideImages(s, d)
	}
	r.decidePeople(s, d)
	return d, wanted
}

func (r *Reconciler) decideNetwork(s *scope, d *decision, wanted *intent) {
	spec, notes := desired.NetworkPolicy(s.workload, s.networkFacts(r.Sidecars))
	s.sidecar.policy = spec
	enforced := s.enforcement.Network && s.selectorError == nil
	if enforced && spec != nil {
		wanted.policy, wanted.missing = desired.NetworkPolicyApply(s.workload, spec), notes.Missing
	}
	seen := posture.NetworkObservation{
		Enforced: s.enforcement.Network, Overlaps: s.overlaps(), SourceAddressLost: notes.LostServices(), PeerPending: notes.Pending(),
		NameTaken: s.takenPolicy(), Missing: notes.Missing, OpenedWider: s.openedWider(spec), HostNetwork: s.hostNetwork(), OtherEngines: r.Served.PolicyEngines(),
	}
	s.observeNetwork(&seen)
	network := posture.JudgeNetwork(seen)
	d.network = &network
	if !s.enforcement.Network && spec != nil {
		d.previewOf().NetworkPolicy = spec
		d.previewOf().LosesPath = bound(s.losesPath(spec))
	}
}

func (r *Reconciler) decideTransit(s *scope, d *decision, wanted *intent) {
	transit := posture.Transit(&s.workload.Spec)
	seen := posture.TransitObservation{
		Enforced: s.enforcement.Transit, IssuerAllowed: s.issuerAllowed, Issuer: fmt.Sprintf("%s %s", orClusterIssuer(transit.IssuerRef.Kind), transit.IssuerRef.Name),
		CertManagerServed: s.certificate.served, Exists: s.certificate.object != nil && !s.certificate.taken, Issued: s.certificate.issued,
		Detail: s.certificate.message,
	}
	wanted.keepCertificate = true
	if s.enforcement.Transit && s.issuerAllowed {
		wanted.certificate = desired.Certificate(s.workload, s.cluster)
	}
	switch live := s.certificate.object; {
	case live == nil:
	case s.certificate.taken:
		seen.NameTaken = []string{live.Name}
	default:
		if live.Status.NotAfter != nil {
			seen.NotAfter = live.Status.NotAfter.Time
		}
		d.certificate = &v1alpha1.CertificateStatus{
			SecretName: live.Spec.SecretName, Serial: s.certificate.serial, NotAfter: live.Status.NotAfter.DeepCopy(), RenewalTime: live.Status.RenewalTime.DeepCopy(),
		}
	}
	verdict := posture.JudgeTransit(seen, s.now)
	d.transit = &verdict
}

// takenPolicy is the policy of somebody else that has the name of the child.
func (s *scope) takenPolicy() []string {
	if s.policy == nil || metav1.IsControlledBy(s.policy, s.workload) {
		return nil
	}
	return []string{s.policy.Name}
}

func orClusterIssuer(kind v1alpha1.IssuerKind) v1alpha1.IssuerKind {
	if kind == "" {
		return v1alpha1.IssuerKindClusterIssuer
	}
	return kind
}

func (r *Reconciler) decideImages(s *scope, d *decision) {
	gated := s.enforcement.Images && ledger.Begun(s.epoch()) && !s.excluded
	s.found.LeaveOutAirlock(s.airlockImages(r.Sidecars.Image)...)
	all := &sightings{found: s.found, selector: s.selector, records: s.records, platforms: s.platforms, common: s.common, gated: gated}
	seen := all.all()
	// Before the first question, so that no answer comes in between.
	r.waiting.set(client.ObjectKeyFromObject(s.workload), asks(seen))
	requirement := posture.NewImageRequirement(s.workload.Spec.Images)
	report := posture.JudgeImages(requirement, r.observe(s, requirement, seen), s.now)
	d.images = &report
	d.held, d.heldCount = all.held()
	if !s.enforcement.Images && len(report.Refused) > 0 {
		d.previewOf().RefusedImages = bound(report.Refused)
	}
}

func (d *decision) previewOf() *v1alpha1.EnforcementPreview {
	if d.preview == nil {
		d.preview = &v1alpha1.EnforcementPreview{}
	}
	return d.preview
}

// bound cuts a list and says how much is left out.
func bound(lines []string) []string {
	if len(lines) <= maxPreview {
		return lines
	}
	return append(lines[:maxPreview:maxPreview], fmt.Sprintf("and %d more", len(lines)-maxPreview))
}

// networkFacts are what the policy depends on.
func (s *scope) networkFacts(sidecars Sidecars) desired.NetworkFacts {
	facts := desired.NetworkFacts{
		Peers: s.peers(), Cluster: s.cluster, Services: s.services, Pods: s.policyPods(), Airlocks: s.airlocks(), Labguard: sidecars.Labguard,
		Nodes: sidecars.Nodes, Now: s.now,
	}
	if len(sidecars.Nodes) > 0 {
		for _, pod := range s.transitPods() {
			facts.ProbePorts = append(facts.ProbePorts, pod.Probes...)
		}
	}
	return facts
}

// governed are the live pods that the selector matches.
func (s *scope) governed() []corev1.Pod {
	var pods []corev1.Pod
	for i := range s.found.Pods {
		pod := &s.found.Pods[i]
		if lives(pod) && s.selector.Matches(labels.Set(pod.Labels)) {
			pods = append(pods, *pod)
		}
	}
	return pods
}

func (s *scope) policyPods() []desired.Pod {
	var pods []desired.Pod
	for _, pod := range s.governed() {
		ports := make([]corev1.ContainerPort, 0, len(pod.Spec.Containers))
		for i := range pod.Spec.Containers {
			ports = append(ports, pod.Spec.Containers[i].Ports...)
		}
		pods = append(pods, desired.Pod{Labels: pod.Labels, Ports: ports})
	}
	for i := range s.found.Roots {
		root := &s.found.Roots[i]
		if root.Kind != "Pod" && s.selector.Matches(labels.Set(root.Template.Labels)) {
			pods = append(pods, desired.Pod{Labels: root.Template.Labels})
		}
	}
	return pods
}

func (s *scope) hostNetwork() []string {
	var names []string
	for _, pod := range s.governed() {
		if pod.Spec.HostNetwork {
			names = append(names, pod.Name)
		}
	}
	return names
}

// overlaps are the other LabWorkloads that restrict the network of one of the same pods, or templates.
func (s *scope) overlaps() []string {
	var names []string
	for i := range s.siblings {
		other := &s.siblings[i]
		if other.Name == s.workload.Name || other.DeletionTimestamp != nil || !posture.RestrictsNetwork(&other.Spec) {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&other.Spec.Selector)
		if err == nil && s.sharesPodWith(selector) {
			names = append(names, other.Name)
		}
	}
	return names
}

func (s *scope) sharesPodWith(other labels.Selector) bool {
	for _, pod := range s.policyPods() {
		if other.Matches(labels.Set(pod.Labels)) {
			return true
		}
	}
	return false
}
