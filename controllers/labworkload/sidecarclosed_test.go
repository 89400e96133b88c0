// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/reach"
)

// strictScope is a LabWorkload at Strict, whose policy is written as it is decided.
func strictScope(t *testing.T) *scope {
	t.Helper()
	s := scopeOf(t)
	s.workload.UID, s.workload.Spec.Enforcement = "uid-lis", v1alpha1.EnforcementEnforce
	engine := v1alpha1.IngressPeer{Pods: &v1alpha1.PodPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "engine"}}}}
	s.workload.Spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
		Provider: v1alpha1.TransitProviderSidecar, Stage: v1alpha1.TransitStageStrict,
		Ports: []v1alpha1.TransitPort{{Name: "mllp", Port: 2575, AllowFrom: []v1alpha1.IngressPeer{engine}}},
	}}
	s.siblings = []v1alpha1.LabWorkload{*s.workload}
	s.enforcement = posture.EnforcementAt(&s.workload.Spec, s.now)
	s.sidecar.stage.Stage = v1alpha1.TransitStageStrict
	s.sidecar.policy = policyAt(s, v1alpha1.TransitStageStrict)
	s.policy = &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{
		Name: desired.ChildName("lis"), OwnerReferences: []metav1.OwnerReference{{UID: "uid-lis", Controller: new(true)}},
	}, Spec: *s.sidecar.policy.DeepCopy()}
	return s
}

func policyAt(s *scope, stage v1alpha1.TransitStage) *networkingv1.NetworkPolicySpec {
	facts := s.networkFacts(Sidecars{Nodes: []string{"10.0.0.0/24"}})
	facts.Airlocks[client.ObjectKeyFromObject(s.workload)] = desired.Airlock{Stage: stage, Ports: map[int32]int32{2575: 15100}}
	facts.ProbePorts = []int32{2575}
	spec, _ := desired.NetworkPolicy(s.workload, facts)
	return spec
}

// Probes of labguard's own cannot tell a policy of Permissive from one of Strict: both close the port to labguard.
func TestStrictIsNotShownByAPolicyThatOpensPlaintext(t *testing.T) {
	tests := map[string]struct {
		change func(*scope)
		reason string
	}{
		"it is written":         {func(*scope) {}, ""},
		"it is not there":       {func(s *scope) { s.policy = nil }, v1alpha1.ReasonWaiting},
		"it is at Permissive":   {func(s *scope) { s.policy.Spec = *policyAt(s, v1alpha1.TransitStagePermissive) }, v1alpha1.ReasonWaiting},
		"it opens every port":   {func(s *scope) { s.policy.Spec.Ingress[0].Ports = nil }, v1alpha1.ReasonWaiting},
		"it has another pod":    {func(s *scope) { s.policy.Spec.PodSelector.MatchLabels = map[string]string{"app": "x"} }, v1alpha1.ReasonWaiting},
		"it is somebody else's": {func(s *scope) { s.policy.OwnerReferences = nil }, v1alpha1.ReasonNameTaken},
		"nothing is written":    {func(s *scope) { s.enforcement.Network = false }, v1alpha1.ReasonAudit},
		"a probe is gone": {func(s *scope) {
			rules := s.sidecar.policy.Ingress
			rules[len(rules)-1].Ports = rules[len(rules)-1].Ports[1:]
		}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := strictScope(t)
			test.change(s)
			if got := s.notClosed(); got.Reason != test.reason {
				t.Errorf("%s (%s), want %q", got.Reason, got.Message, test.reason)
			}
		})
	}
}

// What is decided while spec.suspend is true is not written, so it is not in force.
func TestNoStageIsEnteredWhileNothingIsWritten(t *testing.T) {
	s := strictScope(t)
	s.workload.Spec.Suspend = true
	since := metav1.NewTime(s.now.Add(-time.Hour))
	s.workload.Status.Transit = &v1alpha1.TransitStatus{Stage: v1alpha1.TransitStagePermissive, ObservedSince: &since}
	s.sidecar.profile = &v1alpha1.AirlockProfile{Spec: v1alpha1.AirlockProfileSpec{LabWorkload: "lis", Stage: v1alpha1.TransitStagePermissive, Selector: &s.workload.Spec.Selector}}
	(&Reconciler{}).decideSidecar(s)
	if got := s.sidecar.stage; got.Stage != v1alpha1.TransitStagePermissive || len(got.Blockers) != 1 || !got.ObservedSince.Equal(since.Time) {
		t.Errorf("%+v, want what is in force", got)
	}
	s.sidecar.profile = nil
	(&Reconciler{}).decideSidecar(s)
	if got := s.sidecar.stage; got.Stage != v1alpha1.TransitStageObserve {
		t.Errorf("%+v, want Observe: nothing was written", got)
	}
}

// A new process has asked nobody yet. Its first report must not take back what is shown.
func TestARestartTakesNoAnswerBack(t *testing.T) {
	s := strictScope(t)
	made := pod("lis-0", "registry.example/lis", "", "n1")
	made.CreationTimestamp = metav1.NewTime(s.now.AddDate(0, 0, -1))
	made.Labels = map[string]string{"app": "lis", v1alpha1.WorkloadLabel: desired.LabelValue("lis")}
	made.Spec.InitContainers = []corev1.Container{{Name: "airlock"}}
	made.Status.PodIPs = []corev1.PodIP{{IP: "10.1.0.1"}}
	s.found.Pods = []corev1.Pod{*made}
	s.sidecar.closed, s.issuerAllowed, s.certificate.served, s.certificate.issued = []int32{2575}, true, true, true
	probed, turned := metav1.NewTime(s.now.Add(-15*time.Minute)), metav1.NewTime(s.now.Add(-time.Hour))
	s.workload.Status.Transit = &v1alpha1.TransitStatus{Stage: v1alpha1.TransitStageStrict, ProbedAt: &probed, Vantage: "n2"}
	for name, reason := range map[string]string{v1alpha1.ConditionTransitEncrypted: v1alpha1.ReasonSingleVantage, v1alpha1.ConditionNetworkIsolated: v1alpha1.ReasonIsolated} {
		s.workload.Status.Conditions = append(s.workload.Status.Conditions, metav1.Condition{
			Type: name, Status: metav1.ConditionTrue, Reason: reason, Message: "m", ObservedGeneration: s.workload.Generation, LastTransitionTime: turned,
		})
	}
	r, d := &Reconciler{Sidecars: Sidecars{Image: "i"}}, &decision{}
	var network posture.NetworkObservation
	s.observeNetwork(&network)
	r.judgeSidecar(s, d, &intent{})
	if !network.Proven || d.transit.Reason != v1alpha1.ReasonSingleVantage || !d.progress.ProbedAt.Equal(&probed) || d.progress.Vantage != "n2" {
		t.Errorf("proven %t, transit %+v, progress %+v", network.Proven, d.transit, d.progress)
	}
	s.now = s.now.Add(45 * time.Minute)
	r.judgeSidecar(s, d, &intent{})
	if d.transit.Reason != v1alpha1.ReasonNoRecentProof {
		t.Errorf("an hour after the probe: %+v", d.transit)
	}
}

func TestADocumentThatAirlockRefusesIsNotWritten(t *testing.T) {
	s := strictScope(t)
	s.sidecar.profile, s.sidecar.result.Document = &v1alpha1.AirlockProfile{}, []byte(`{"version": 1}`)
	// The client would panic: there is none.
	if err := (&Reconciler{}).writeDocument(t.Context(), s); err == nil || !strings.Contains(err.Error(), "airlock would refuse") {
		t.Errorf("%v, want what airlock says", err)
	}
}

// A policy of somebody else that opens another port, such as that of metrics, says nothing of mutual TLS; one that the spec accepts may.
func TestAPolicyOfOthersThatOpensPlaintextIsNamed(t *testing.T) {
	s := strictScope(t)
	s.workload.Spec.Network = &v1alpha1.NetworkSpec{Accept: []v1alpha1.AcceptedPolicy{{Name: "foreign", Reason: "r"}}}
	foreign := func(ports ...networkingv1.NetworkPolicyPort) {
		s.world = reach.World{
			Namespaces: map[string]map[string]string{"pathology": {}},
			Pods: []reach.Pod{
				{Namespace: "pathology", Name: "lis-0", Labels: app, IPs: []netip.Addr{netip.MustParseAddr("10.1.0.1")}},
				{Namespace: "pathology", Name: "other", IPs: []netip.Addr{netip.MustParseAddr("10.1.0.2")}},
			},
			Policies: []networkingv1.NetworkPolicy{{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "foreign"}, Spec: networkingv1.NetworkPolicySpec{
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: ports}},
			}}},
		}
	}
	foreign(networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(9090))})
	if got := s.openedPorts(); len(got) > 0 {
		t.Errorf("%v, want none: the port of metrics is not declared", got)
	}
	foreign(networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(2000)), EndPort: new(int32(3000))})
	if got := s.openedPorts(); len(got) != 1 || got[0] != "foreign" {
		t.Errorf("%v, want the policy that opens the declared port", got)
	}
	foreign()
	if got := s.openedPorts(); len(got) != 1 {
		t.Errorf("%v, want the policy that opens all", got)
	}
}
