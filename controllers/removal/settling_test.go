// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package removal

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
)

var now = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// quiet is a profile of a LabWorkload that is gone.
type quiet struct {
	*testing.T
	client.Client
	clock    *testclock.FakeClock
	removals *Reconciler
}

func newQuiet(t *testing.T) *quiet {
	t.Helper()
	all := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(all), v1alpha1.AddToScheme(all)); err != nil {
		t.Fatal(err)
	}
	l := &quiet{T: t, Client: fake.NewClientBuilder().WithScheme(all).Build(), clock: testclock.NewFakeClock(now)}
	l.removals = &Reconciler{Client: l.Client, Live: l.Client, Clock: l.clock, Random: func() float64 { return 0 }}
	l.make(l.profile())
	return l
}

func (l *quiet) profile() *v1alpha1.AirlockProfile {
	return &v1alpha1.AirlockProfile{
		ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: desired.ChildName("lis"), UID: "profile"},
		Spec:       v1alpha1.AirlockProfileSpec{LabWorkload: "lis", Workload: "lis"},
	}
}

func (l *quiet) pod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "lis-0", Labels: map[string]string{v1alpha1.WorkloadLabel: "lis"}}}
}

func (l *quiet) make(object client.Object) {
	l.Helper()
	if err := l.Create(l.Context(), object); err != nil {
		l.Fatal(err)
	}
}

// look looks once. It returns when to look again, and whether the profile is there.
func (l *quiet) look() (time.Duration, bool) {
	l.Helper()
	key := client.ObjectKeyFromObject(l.profile())
	result, err := l.removals.Reconcile(l.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		l.Fatal(err)
	}
	err = l.Get(l.Context(), key, &v1alpha1.AirlockProfile{})
	if client.IgnoreNotFound(err) != nil {
		l.Fatal(err)
	}
	return result.RequeueAfter, err == nil
}

func TestAProfileStaysWhileAnAPIServerMayNotHaveHeardOfIt(t *testing.T) {
	l := newQuiet(t)
	again, there := l.look()
	if !there || again <= 0 || again > settlesIn+settlesIn/5 {
		t.Fatalf("nobody needs it: there %t, looks again in %s, want it to stay for %s", there, again, settlesIn)
	}
	l.clock.Step(settlesIn - time.Second)
	if _, there := l.look(); !there {
		t.Fatal("it went before its time")
	}
	l.clock.Step(time.Second)
	if _, there := l.look(); there {
		t.Fatal("it is there, although nobody needs it")
	}
}

func TestAPodThatGotTheSidecarAtTheLastMomentKeepsItsProfile(t *testing.T) {
	l := newQuiet(t)
	l.look()
	l.clock.Step(settlesIn - time.Second)
	l.make(l.pod())
	l.clock.Step(time.Minute)
	if _, there := l.look(); !there {
		t.Fatal("a pod lost what it lives on")
	}
	if err := l.Delete(t.Context(), l.pod()); err != nil {
		t.Fatal(err)
	}
	if _, there := l.look(); !there {
		t.Fatal("after the last pod it went at once")
	}
	l.clock.Step(settlesIn)
	if _, there := l.look(); there {
		t.Fatal("it is there, although nobody needs it")
	}
}

// A profile that was made anew under the same name has waited for nothing yet.
func TestAnotherProfileOfTheSameNameWaitsAnew(t *testing.T) {
	l := newQuiet(t)
	l.look()
	if err := l.Delete(t.Context(), l.profile()); err != nil {
		t.Fatal(err)
	}
	another := l.profile()
	another.UID = "another"
	l.make(another)
	l.clock.Step(settlesIn)
	if _, there := l.look(); !there {
		t.Fatal("it went at once")
	}
}
