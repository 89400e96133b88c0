// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/removal"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// asked are airlocks that say what the test says.
type asked struct {
	targets map[types.NamespacedName][]posture.AirlockTarget
	say     func(target posture.AirlockTarget) posture.AirlockFacts
}

func (a *asked) Watch(workload types.NamespacedName, targets []posture.AirlockTarget) {
	a.targets[workload] = targets
}

func (a *asked) Facts(workload types.NamespacedName) map[types.UID]posture.AirlockFacts {
	facts := map[types.UID]posture.AirlockFacts{}
	for _, target := range a.targets[workload] {
		facts[target.UID] = a.say(target)
	}
	return facts
}

// sidecarLab is a LIS and an engine that sends to it, on a real API server and without a kubelet.
type sidecarLab struct {
	*testing.T
	client.Client
	namespace string
	clock     *testclock.FakeClock
	airlocks  *asked
	workloads *Reconciler
	removals  *removal.Reconciler
}

func newSidecarLab(t *testing.T) *sidecarLab {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), certmanagerv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cluster.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	l := &sidecarLab{T: t, Client: c, namespace: cluster.Namespace(t), clock: testclock.NewFakeClock(time.Now())}
	l.airlocks = &asked{targets: map[types.NamespacedName][]posture.AirlockTarget{}, say: l.fine}
	l.workloads = &Reconciler{
		Client: c, Live: c, Facts: dated{}, Served: served.ByMapper{Mapper: c.RESTMapper()}, Clock: l.clock, Random: func() float64 { return 0 }, Recorder: noEvents{},
		Issuers:  []Issuer{{Kind: v1alpha1.IssuerKindIssuer, Namespace: l.namespace, Name: "lab-ca"}},
		Platform: Platform{TrustDomain: "lab.example", ClusterDomain: "cluster.local", DNSNamespace: "kube-system", DNSService: "kube-dns"},
		Sidecars: Sidecars{Image: "registry.example/airlock@" + digest("aa"), Labguard: desired.Operator{Namespace: "labguard-system", Labels: map[string]string{"app.kubernetes.io/name": "labguard"}}},
		Airlocks: l.airlocks,
	}
	l.removals = &removal.Reconciler{Client: c, Live: c, Clock: l.clock, Random: func() float64 { return 0 }}
	return l
}

// fine is an airlock of which nothing is wrong, with probes that were stopped.
func (l *sidecarLab) fine(target posture.AirlockTarget) posture.AirlockFacts {
	said := posture.AirlockFacts{ReportedAt: l.clock.Now(), Report: report.Report{
		Configuration: l.mounted(target),
		Identity:      &report.Identity{ID: target.ID, NotAfter: l.clock.Now().AddDate(0, 0, 10)}, Bundles: map[string][]string{"lab.example": {"aa"}},
	}}
	for _, address := range target.Addresses {
		for _, port := range target.ClosedPorts {
			said.Probes = append(said.Probes, posture.Probe{Address: address, Port: port, At: l.clock.Now(), Control: true, Vantage: "n2"})
		}
	}
	return said
}

func (l *sidecarLab) create(objects ...client.Object) {
	l.Helper()
	for _, object := range objects {
		object.SetNamespace(l.namespace)
		if err := l.Create(l.Context(), object); err != nil {
			l.Fatal(err)
		}
	}
}

// settle looks at everything until nothing is to be done at once.
func (l *sidecarLab) settle(names ...string) {
	l.Helper()
	for range 8 {
		for _, name := range names {
			request := ctrl.Request{NamespacedName: l.key(name)}
			if _, err := l.workloads.Reconcile(l.Context(), request); err != nil {
				l.Fatal(err)
			}
			request.Name = desired.ChildName(name)
			if _, err := l.removals.Reconcile(l.Context(), request); err != nil {
				l.Fatal(err)
			}
		}
	}
}

func (l *sidecarLab) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: l.namespace, Name: name}
}

func (l *sidecarLab) sidecarWorkload(name string, ports ...v1alpha1.TransitPort) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.LabWorkloadSpec{
		Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Enforcement: v1alpha1.EnforcementEnforce,
		Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
			Provider: v1alpha1.TransitProviderSidecar, Stage: v1alpha1.TransitStageStrict, ObserveFor: "24h", Ports: ports,
			IssuerRef: v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindIssuer, Name: "lab-ca"},
		}},
	}}
}

// issued waits until cert-manager has issued the certificates of sidecars.
func (l *sidecarLab) issued(names ...string) {
	l.Helper()
	for _, name := range names {
		key := l.key(desired.IdentityName(name))
		err := wait.PollUntilContextTimeout(l.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			made := &certmanagerv1.Certificate{}
			err := l.Get(ctx, key, made)
			return err == nil && made.Status.NotAfter != nil && made.Status.Revision != nil, client.IgnoreNotFound(err)
		})
		if err != nil {
			l.Fatalf("no certificate for %s: %v", name, err)
		}
	}
}

// pod starts a pod, with the sidecar if its profile gives one, as the injection policy would.
func (l *sidecarLab) pod(app, name, address string) {
	l.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: name, Labels: map[string]string{"app": app}},
		// It names no node: pods of one that is not there are collected.
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example/app"}}},
	}
	if profile := l.profile(app); profile != nil && profile.Spec.Selector != nil {
		pod.Labels[v1alpha1.WorkloadLabel], pod.Labels[v1alpha1.AirlockLabel] = profile.Spec.Workload, profile.Spec.Current.Hash
		pod.Spec.InitContainers = []corev1.Container{{Name: config.ContainerName, Image: profile.Spec.Current.Image}}
	}
	if err := l.Create(l.Context(), pod); err != nil {
		l.Fatal(err)
	}
	before := pod.DeepCopy()
	pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, address, []corev1.PodIP{{IP: address}}
	if err := l.Status().Patch(l.Context(), pod, client.MergeFrom(before)); err != nil {
		l.Fatal(err)
	}
}

func (l *sidecarLab) profile(name string) *v1alpha1.AirlockProfile {
	l.Helper()
	profile := &v1alpha1.AirlockProfile{}
	err := l.Get(l.Context(), l.key(desired.ChildName(name)), profile)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		l.Fatal(err)
	}
	return profile
}

func (l *sidecarLab) document(name string) config.Configuration {
	l.Helper()
	var made config.Configuration
	document := &corev1.ConfigMap{}
	if err := l.Get(l.Context(), l.key(desired.ChildName(name)), document); err != nil {
		l.Fatal(err)
	}
	if err := json.Unmarshal([]byte(document.Data[config.FileName]), &made); err != nil {
		l.Fatal(err)
	}
	return made
}

// expect checks the stage and the answer to TransitEncrypted.
func (l *sidecarLab) expect(name string, stage v1alpha1.TransitStage, reason string) *v1alpha1.LabWorkload {
	l.Helper()
	workload := &v1alpha1.LabWorkload{}
	if err := l.Get(l.Context(), l.key(name), workload); err != nil {
		l.Fatal(err)
	}
	condition := meta.FindStatusCondition(workload.Status.Conditions, v1alpha1.ConditionTransitEncrypted)
	if workload.Status.Transit == nil || workload.Status.Transit.Stage != stage || condition == nil || condition.Reason != reason {
		l.Fatalf("LabWorkload %s: transit %+v, condition %+v; want stage %s and reason %s", name, workload.Status.Transit, condition, stage, reason)
	}
	return workload
}

// ingressPorts are the ports that the policy opens, without those for labguard itself.
func (l *sidecarLab) ingressPorts(name string) string {
	l.Helper()
	policy := &networkingv1.NetworkPolicy{}
	if err := l.Get(l.Context(), l.key(desired.ChildName(name)), policy); err != nil {
		l.Fatal(err)
	}
	var ports []string
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			if port.Port.IntVal != config.AdminPort {
				ports = append(ports, port.Port.String())
			}
		}
	}
	return strings.Join(ports, " ")
}

// versions are the resource versions of what belongs to a LabWorkload, and of itself.
func (l *sidecarLab) versions(name string) string {
	l.Helper()
	child := desired.ChildName(name)
	var all []string
	for _, one := range []struct {
		object client.Object
		name   string
	}{
		{&v1alpha1.LabWorkload{}, name}, {&v1alpha1.AirlockProfile{}, child}, {&corev1.ConfigMap{}, child}, {&networkingv1.NetworkPolicy{}, child},
		{&corev1.Service{}, desired.CompanionName(name)}, {&corev1.Pod{}, name + "-new"},
	} {
		if err := l.Get(l.Context(), l.key(one.name), one.object); err != nil {
			l.Fatal(err)
		}
		all = append(all, one.object.GetResourceVersion())
	}
	return strings.Join(all, " ")
}

func (l *sidecarLab) delete(object client.Object, name string) {
	l.Helper()
	object.SetNamespace(l.namespace)
	object.SetName(name)
	if err := l.Delete(l.Context(), object, client.GracePeriodSeconds(0)); err != nil {
		l.Fatal(err)
	}
}

func (l *sidecarLab) edit(name string, change func(*v1alpha1.LabWorkload)) {
	l.Helper()
	workload := &v1alpha1.LabWorkload{}
	if err := l.Get(l.Context(), l.key(name), workload); err != nil {
		l.Fatal(err)
	}
	change(workload)
	if err := l.Update(l.Context(), workload); err != nil {
		l.Fatal(err)
	}
}

func arrangeSidecarLab(l *sidecarLab) {
	l.Helper()
	l.pod("lis", "lis-old", "10.1.0.1")
	l.pod("engine", "engine-old", "10.1.0.2")
	l.create(
		&certmanagerv1.Issuer{ObjectMeta: metav1.ObjectMeta{Name: "lab-ca"}, Spec: certmanagerv1.IssuerSpec{IssuerConfig: certmanagerv1.IssuerConfig{SelfSigned: &certmanagerv1.SelfSignedIssuer{}}}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "lis"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "lis"}, Ports: []corev1.ServicePort{{Port: 2575}}}},
		l.sidecarWorkload("lis", v1alpha1.TransitPort{Name: "mllp", Port: 2575, AllowFrom: []v1alpha1.IngressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "engine"}}}}),
		l.sidecarWorkload("engine"),
	)
}

// The way of a laboratory from plaintext to mutual TLS, and back.
func TestALaboratoryGoesToStrictAndLeaves(t *testing.T) {
	l := newSidecarLab(t)
	arrangeSidecarLab(l)
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

	l.issued("lis", "engine")
	for _, app := range []string{"lis", "engine"} {
		l.delete(&corev1.Pod{}, app+"-old")
	}
	l.pod("lis", "lis-new", "10.1.0.3")
	l.pod("engine", "engine-new", "10.1.0.4")
	l.settle("lis", "engine")
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

func TestStrictIsLeftAtOnceAndObserveTakesTheSidecarAway(t *testing.T) {
	l := newSidecarLab(t)
	arrangeSidecarLab(l)
	l.settle("lis", "engine")
	l.issued("lis", "engine")
	for _, app := range []string{"lis", "engine"} {
		l.delete(&corev1.Pod{}, app+"-old")
	}
	l.pod("lis", "lis-new", "10.1.0.3")
	l.pod("engine", "engine-new", "10.1.0.4")
	l.settle("lis", "engine")
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
	arrangeSidecarLab(l)
	l.settle("lis", "engine")
	l.issued("lis", "engine")
	for _, app := range []string{"lis", "engine"} {
		l.delete(&corev1.Pod{}, app+"-old")
	}
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

func TestTwoSidecarsForOnePod(t *testing.T) {
	l := newSidecarLab(t)
	arrangeSidecarLab(l)
	second := l.sidecarWorkload("zweites")
	second.Spec.Selector.MatchLabels = map[string]string{"app": "lis"}
	l.create(second)
	l.settle("lis", "zweites")
	younger := l.expect("zweites", v1alpha1.TransitStageObserve, v1alpha1.ReasonSelectorOverlap)
	if stalled := meta.FindStatusCondition(younger.Status.Conditions, v1alpha1.ConditionStalled); stalled == nil || l.profile("zweites") != nil || l.profile("lis") == nil {
		t.Errorf("stalled %+v; profiles %v and %v", stalled, l.profile("zweites"), l.profile("lis"))
	}
}

func TestACompanionNeverTakesOverAForeignService(t *testing.T) {
	l := newSidecarLab(t)
	l.create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "lis-mtls"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "own"}, Ports: []corev1.ServicePort{{Port: 1}}}})
	arrangeSidecarLab(l)
	l.settle("lis", "engine")
	l.expect("lis", v1alpha1.TransitStagePermissive, v1alpha1.ReasonNameTaken)
	service := &corev1.Service{}
	if err := l.Get(t.Context(), l.key("lis-mtls"), service); err != nil || service.Spec.Selector["app"] != "own" || len(service.OwnerReferences) > 0 {
		t.Errorf("the Service of somebody else is now %+v, %v", service.Spec, err)
	}
}

func TestNoKeyIsAskedForBeforeItIsGuarded(t *testing.T) {
	l := newSidecarLab(t)
	guarded := map[string]bool{}
	l.workloads.Sidecars.Guards = func(_ context.Context, namespace string) (bool, error) { return guarded[namespace], nil }
	l.workloads.Sidecars.Salt = "salt"
	workload := l.sidecarWorkload("lis", v1alpha1.TransitPort{Name: "mllp", Port: 2575})
	l.create(workload)
	l.settle("lis")
	certificate := &certmanagerv1.Certificate{}
	err := l.Get(t.Context(), l.key(desired.IdentityName("lis")), certificate)
	if profile := l.profile("lis"); profile != nil || !apierrors.IsNotFound(err) {
		t.Fatalf("without guards there are profile %v and certificate %v, %v", profile, certificate.Name, err)
	}
	guarded[l.namespace] = true
	l.settle("lis")
	if err := l.Get(t.Context(), l.key(desired.IdentityName("lis")), certificate); err != nil {
		t.Fatal(err)
	}
	if name := transit.SecretName(workload, nil, "salt"); certificate.Spec.SecretName != name || l.profile("lis").Spec.Current.Secret != name {
		t.Errorf("the Secret of the certificate is %s and that of the profile %s, want %s", certificate.Spec.SecretName, l.profile("lis").Spec.Current.Secret, name)
	}
	guarded[l.namespace] = false
	l.settle("lis")
	if l.profile("lis") == nil {
		t.Error("the profile goes with the guards")
	}
}
