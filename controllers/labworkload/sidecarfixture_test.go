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
	return fine(target, l.mounted(target), l.clock.Now(), l.clock.Now().AddDate(0, 0, 10))
}

// fine is an airlock of which nothing is wrong: its document has a digest, and its certificate an end.
func fine(target posture.AirlockTarget, digest string, now, notAfter time.Time) posture.AirlockFacts {
	said := posture.AirlockFacts{ReportedAt: now, Report: report.Report{
		Configuration: digest, Identity: &report.Identity{ID: target.ID, NotAfter: notAfter}, Bundles: map[string][]string{"lab.example": {"aa"}},
	}}
	for _, address := range target.Addresses {
		for _, port := range target.ClosedPorts {
			said.Probes = append(said.Probes, posture.Probe{Address: address, Port: port, At: now, Control: true, Vantage: "n2"})
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

// arrange makes the LIS and the engine, each with a pod from before labguard.
func (l *sidecarLab) arrange() {
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

// retire removes those pods once there are certificates for others.
func (l *sidecarLab) retire() {
	l.Helper()
	l.issued("lis", "engine")
	for _, app := range []string{"lis", "engine"} {
		l.delete(&corev1.Pod{}, app+"-old")
	}
}

// rollOut replaces those pods by new ones.
func (l *sidecarLab) rollOut() {
	l.Helper()
	l.retire()
	l.pod("lis", "lis-new", "10.1.0.3")
	l.pod("engine", "engine-new", "10.1.0.4")
	l.settle("lis", "engine")
}
