// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package removal

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// lab is a namespace with the reconciler.
type lab struct {
	*testing.T
	client.Client
	namespace  string
	clock      *clocktesting.FakeClock
	reconciler *Reconciler
}

func newLab(t *testing.T) *lab {
	t.Helper()
	c, err := client.New(cluster.Config(), client.Options{Scheme: kinds(t)})
	if err != nil {
		t.Fatal(err)
	}
	clock := clocktesting.NewFakeClock(time.Now())
	return &lab{T: t, Client: c, namespace: cluster.Namespace(t), clock: clock, reconciler: newReconciler(c, clock)}
}

func (l *lab) create(objects ...client.Object) {
	l.Helper()
	if err := create(l.Context(), l, objects...); err != nil {
		l.Fatal(err)
	}
}

// settle looks at the profile of a LabWorkload until nothing is to be done at once or after the time in which it may not go yet, and returns when to look again.
func (l *lab) settle(name string) time.Duration {
	l.Helper()
	var result ctrl.Result
	for range 4 {
		var err error
		result, err = l.reconciler.Reconcile(l.Context(), ctrl.Request{NamespacedName: l.key(desired.ChildName(name))})
		if err != nil {
			l.Fatal(err)
		}
		if result.RequeueAfter < lookAgainAfter {
			l.clock.Step(result.RequeueAfter)
		}
	}
	return result.RequeueAfter
}

func (l *lab) key(name string) client.ObjectKey {
	return client.ObjectKey{Namespace: l.namespace, Name: name}
}

// profile is that of a LabWorkload as it is; nil: it is gone.
func (l *lab) profile(name string) *v1alpha1.AirlockProfile {
	l.Helper()
	found := &v1alpha1.AirlockProfile{}
	err := l.Get(l.Context(), l.key(desired.ChildName(name)), found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		l.Fatal(err)
	}
	return found
}

func TestWhoAsksForAProfile(t *testing.T) {
	l := newLab(t)
	transitOf := func(w *v1alpha1.LabWorkload) *v1alpha1.InTransitSpec { return w.Spec.Encryption.InTransit }
	for name, test := range map[string]struct {
		change func(*v1alpha1.LabWorkload)
		stays  bool
	}{
		"strict":     {func(*v1alpha1.LabWorkload) {}, true},
		"permissive": {func(w *v1alpha1.LabWorkload) { transitOf(w).Stage = v1alpha1.TransitStagePermissive }, true},
		"suspended": {func(w *v1alpha1.LabWorkload) {
			w.Spec.Suspend, w.Spec.Enforcement = true, v1alpha1.EnforcementAudit
		}, true},
		"other-provider": {func(w *v1alpha1.LabWorkload) {
			transitOf(w).Provider, transitOf(w).Stage = v1alpha1.TransitProviderApplication, ""
			transitOf(w).Certificate = &v1alpha1.CertificateSpec{Services: []string{"lis"}}
		}, false},
		"absent": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if test.change != nil {
				asking := workload(l.namespace, name)
				test.change(asking)
				l.create(asking)
			}
			l.create(profile(l.namespace, name))
			l.settle(name)
			found := l.profile(name)
			if (found != nil) != test.stays || found != nil && found.Spec.Selector == nil {
				t.Errorf("%+v, want it there and selecting: %t", found, test.stays)
			}
		})
	}
}

// What a LabWorkload that is there still speaks of, its own controller opens; this one waits until the last pod has gone.
func TestALabWorkloadThatIsThereOpensItsProfileItself(t *testing.T) {
	l := newLab(t)
	audited := workload(l.namespace, "lis")
	audited.Spec.Enforcement = v1alpha1.EnforcementAudit
	l.create(audited, profile(l.namespace, "lis"), pod(l.namespace, "lis"))
	if again := l.settle("lis"); again < lookAgainAfter || l.profile("lis").Spec.Selector == nil {
		t.Errorf("again in %s, %+v", again, l.profile("lis").Spec)
	}
	opened := l.profile("lis")
	opened.Spec.Selector = nil
	if err := l.Update(t.Context(), opened); err != nil {
		t.Fatal(err)
	}
	l.settle("lis")
	if l.profile("lis") == nil {
		t.Fatal("a pod has the sidecar, and its profile is gone")
	}
	if err := l.Delete(t.Context(), pod(l.namespace, "lis"), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	l.settle("lis")
	if l.profile("lis") != nil {
		t.Error("the last pod has gone, and the profile is there")
	}
}

func TestWhatIsOpenedForRunningPods(t *testing.T) {
	l := newLab(t)
	lis := profile(l.namespace, "lis")
	l.create(workload(l.namespace, "engine"), profile(l.namespace, "engine"), lis)
	l.create(document(lis, "lis", "engine", "gone"), pod(l.namespace, "lis"))
	if again := l.settle("lis"); again < lookAgainAfter {
		t.Errorf("again in %s", again)
	}
	opened := l.profile("lis")
	if opened.Spec.Selector != nil || opened.Spec.Stage != v1alpha1.TransitStagePermissive || opened.Spec.Current.Hash != lis.Spec.Current.Hash {
		t.Errorf("%+v", opened.Spec)
	}
	held, told := &corev1.ConfigMap{}, &corev1.Pod{}
	if err := l.Get(t.Context(), l.key(lis.Name), held); err != nil {
		t.Fatal(err)
	}
	var made config.Configuration
	if err := json.Unmarshal([]byte(held.Data[transit.DocumentKey]), &made); err != nil || !metav1.IsControlledBy(held, lis) || held.Labels[v1alpha1.LabWorkloadLabel] != "lis" {
		t.Fatalf("%v, %+v", err, held)
	}
	if made.Ports[0].Stage != config.Permissive || !made.Upstreams[0].Fallback || made.Upstreams[1].Fallback || !made.Upstreams[2].Fallback {
		t.Errorf("%+v, want plaintext to those that have left", made)
	}
	if err := l.Get(t.Context(), l.key("lis-0"), told); err != nil || told.Annotations[v1alpha1.SyncAnnotation] == "" {
		t.Errorf("%v, annotations %v", err, told.Annotations)
	}
	// A pod that has ended holds nothing up.
	told.Status.Phase = corev1.PodSucceeded
	if err := l.Status().Update(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	if again := l.settle("lis"); again != 0 || l.profile("lis") != nil {
		t.Errorf("again in %s, %v", again, l.profile("lis"))
	}
}

func TestADocumentOfSomebodyElseIsLeftAlone(t *testing.T) {
	l := newLab(t)
	lis := profile(l.namespace, "lis")
	foreign := document(lis)
	foreign.OwnerReferences = nil
	l.create(lis, foreign, pod(l.namespace, "lis"))
	l.settle("lis")
	now := &corev1.ConfigMap{}
	if err := l.Get(t.Context(), l.key(lis.Name), now); err != nil || now.ResourceVersion != foreign.ResourceVersion {
		t.Errorf("%v, %v", err, now.Data)
	}
}
