// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
)

// The way of a laboratory from plaintext to mutual TLS, and back.
func TestALaboratoryGoesToStrictAndLeaves(t *testing.T) {
	l := newSidecarLab(t)
	l.arrange()
	l.settle("lis", "engine")
	l.expect("lis", v1alpha1.TransitStagePermissive, v1alpha1.ReasonNotInjected)
	if ports := l.ingressPorts("lis"); ports != "2575 15100" {
		t.Errorf("at Permissive the policy opens %q, want both ports", ports)
	}
	if profile := l.profile("lis"); profile.Spec.Selector == nil || len(profile.OwnerReferences) > 0 {
		t.Fatalf("profile %+v", profile)
	}
	service := &corev1.Service{}
	if err := l.Get(t.Context(), l.key("lis-mtls"), service); err != nil || service.Spec.Ports[0].TargetPort.IntVal != 15100 {
		t.Fatalf("companion %+v, %v", service.Spec, err)
	}
	made := &certmanagerv1.Certificate{}
	if err := l.Get(t.Context(), l.key(desired.IdentityName("lis")), made); err != nil || made.Spec.SecretName != l.profile("lis").Spec.Current.Secret || len(made.Spec.DNSNames) > 0 {
		t.Fatalf("certificate %+v, %v", made.Spec, err)
	}
	if upstreams := l.document("engine").Upstreams; len(upstreams) != 1 || !upstreams[0].Fallback || upstreams[0].Secure != service.Spec.ClusterIP+":2575" {
		t.Fatalf("upstreams of the engine %+v", upstreams)
	}

	l.rollOut()
	waiting := l.expect("lis", v1alpha1.TransitStagePermissive, v1alpha1.ReasonPermissive)
	if blockers := waiting.Status.Transit.Blockers; len(blockers) != 1 || !strings.Contains(blockers[0], "for 24h") || waiting.Status.Transit.ObservedSince == nil {
		t.Fatalf("blockers %q since %v, want the time alone", blockers, waiting.Status.Transit.ObservedSince)
	}
	pod := &corev1.Pod{}
	if err := l.Get(t.Context(), l.key("lis-new"), pod); err != nil || pod.Annotations[v1alpha1.SyncAnnotation] == "" {
		t.Fatalf("the pod was not told: %v, %v", pod.Annotations, err)
	}

	l.clock.Step(24*time.Hour + time.Second)
	l.settle("lis", "engine")
	strict := l.expect("lis", v1alpha1.TransitStageStrict, v1alpha1.ReasonMutualTLS)
	if isolated := meta.FindStatusCondition(strict.Status.Conditions, v1alpha1.ConditionNetworkIsolated); isolated == nil || isolated.Reason != v1alpha1.ReasonIsolated {
		t.Errorf("isolated %+v", isolated)
	}
	if ports := l.ingressPorts("lis"); ports != "15100" {
		t.Errorf("at Strict the policy opens %q, want the sidecar's port alone", ports)
	}
	if l.document("engine").Upstreams[0].Fallback || l.document("lis").Ports[0].Stage != config.Strict {
		t.Error("at Strict there is a fallback, or the port is not strict")
	}

	l.seesHandshakes()
	versions := l.versions("lis")
	l.settle("lis", "engine")
	if again := l.versions("lis"); again != versions {
		t.Errorf("with nothing to do, versions %s became %s", versions, again)
	}

	l.pod("lis", "lis-newer", "10.1.0.5")
	plain := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "lis-plain", Labels: map[string]string{"app": "lis"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "a"}}}}
	l.create(plain)
	l.settle("lis", "engine")
	l.expect("lis", v1alpha1.TransitStageStrict, v1alpha1.ReasonNotInjected)
	l.delete(&corev1.Pod{}, "lis-plain")

	// The LabWorkload goes, as when Git prunes it: what pods live on stays until the last of them has gone.
	l.delete(&v1alpha1.LabWorkload{}, "lis")
	l.settle("lis", "engine")
	if profile := l.profile("lis"); profile == nil || profile.Spec.Selector != nil || profile.Spec.Stage != v1alpha1.TransitStagePermissive || l.document("lis").Ports[0].Stage != config.Permissive {
		t.Fatalf("profile of a LabWorkload that is gone: %+v", profile)
	}
	if upstreams := l.document("engine").Upstreams; len(upstreams) != 1 || !upstreams[0].Fallback || upstreams[0].Secure == "" {
		t.Errorf("upstreams of the engine %+v, want the one that its pods have names for", upstreams)
	}
	l.delete(&corev1.Pod{}, "lis-new")
	l.delete(&corev1.Pod{}, "lis-newer")
	l.settle("lis", "engine")
	l.clock.Step(3 * time.Minute)
	l.settle("lis", "engine")
	if profile := l.profile("lis"); profile != nil {
		t.Errorf("the last pod is gone, and the profile is there: %+v", profile.Spec)
	}
}

// seesHandshakes has the airlocks of the engine report handshakes, and looks at what the status tells of them.
func (l *sidecarLab) seesHandshakes() {
	l.Helper()
	handshake := l.clock.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	name := l.namespace + "/lis:2575"
	l.airlocks.say = func(target posture.AirlockTarget) posture.AirlockFacts {
		said := l.fine(target)
		said.Report.Upstreams = []report.Upstream{{Name: name, LastHandshake: &handshake}, {Name: "elsewhere/lis:2575", LastHandshake: &handshake}, {Name: name + strings.Repeat("x", 900), LastHandshake: &handshake}}
		return said
	}
	l.settle("lis", "engine")
	engine := &v1alpha1.LabWorkload{}
	if err := l.Get(l.Context(), l.key("engine"), engine); err != nil {
		l.Fatal(err)
	}
	if told := engine.Status.Transit.Upstreams; len(told) != 1 || told[0].Name != name || !told[0].LastHandshake.Equal(&metav1.Time{Time: handshake}) {
		l.Errorf("upstreams of the engine %+v, want the handshake of %s with %s alone", told, handshake, name)
	}
}

func TestStrictIsLeftAtOnceAndObserveTakesTheSidecarAway(t *testing.T) {
	l := newSidecarLab(t)
	l.arrange()
	l.settle("lis", "engine")
	l.rollOut()
	l.clock.Step(24*time.Hour + time.Second)
	l.settle("lis", "engine")
	l.expect("lis", v1alpha1.TransitStageStrict, v1alpha1.ReasonMutualTLS)
	stage := func(stage v1alpha1.TransitStage) {
		l.edit("lis", func(lis *v1alpha1.LabWorkload) { lis.Spec.Encryption.InTransit.Stage = stage })
		l.settle("lis", "engine")
	}
	stage(v1alpha1.TransitStagePermissive)
	l.expect("lis", v1alpha1.TransitStagePermissive, v1alpha1.ReasonPermissive)
	if ports := l.ingressPorts("lis"); ports != "2575 15100" || !l.document("engine").Upstreams[0].Fallback {
		t.Errorf("after going back: ports %q, upstreams %+v", ports, l.document("engine").Upstreams)
	}
	stage(v1alpha1.TransitStageObserve)
	l.expect("lis", v1alpha1.TransitStageObserve, v1alpha1.ReasonObserving)
	if profile := l.profile("lis"); profile == nil || profile.Spec.Selector != nil {
		t.Fatalf("at Observe with a pod: %+v", profile)
	}
	l.delete(&corev1.Pod{}, "lis-new")
	l.settle("lis", "engine")
	l.clock.Step(3 * time.Minute)
	l.settle("lis", "engine")
	if profile := l.profile("lis"); profile != nil {
		t.Errorf("at Observe without a pod there is %+v", profile.Spec)
	}
}

// A tenant must not keep a policy ignored without a word: a probe that gets through is said, and keeps Strict away.
func TestAPolicyThatTheNetworkIgnoresIsSaid(t *testing.T) {
	l := newSidecarLab(t)
	l.arrange()
	l.settle("lis", "engine")
	l.retire()
	l.pod("lis", "lis-new", "10.1.0.3")
	l.airlocks.say = func(target posture.AirlockTarget) posture.AirlockFacts {
		said := l.fine(target)
		for i := range said.Probes {
			said.Probes[i].Reached = true
		}
		return said
	}
	l.settle("lis", "engine")
	l.clock.Step(25 * time.Hour)
	l.settle("lis", "engine")
	lis := l.expect("lis", v1alpha1.TransitStagePermissive, v1alpha1.ReasonPermissive)
	isolated := meta.FindStatusCondition(lis.Status.Conditions, v1alpha1.ConditionNetworkIsolated)
	if isolated == nil || isolated.Reason != v1alpha1.ReasonPolicyIgnored || !strings.Contains(strings.Join(lis.Status.Transit.Blockers, "\n"), "does not obey") {
		t.Errorf("isolated %+v, blockers %q", isolated, lis.Status.Transit.Blockers)
	}
}
