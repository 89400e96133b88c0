// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

func providersOf(a *api, events *told) (*Providers, *testclock.FakeClock) {
	clock := testclock.NewFakeClock(noon)
	return &Providers{Client: a, Clock: clock, Random: noJitter, Recorder: events}, clock
}

func look(t *testing.T, r *Providers, name string) ctrl.Result {
	t.Helper()
	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func conditionOf(t *testing.T, a *api, name, condition string) *metav1.Condition {
	t.Helper()
	var p v1alpha1.IdentityProvider
	if err := a.Get(t.Context(), client.ObjectKey{Name: name}, &p); err != nil {
		t.Fatal(err)
	}
	return meta.FindStatusCondition(p.Status.Conditions, condition)
}

func TestClaimsSeenSaysWhetherClaimsHaveArrivedInADay(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change []func(*v1alpha1.IdentityProvider)
		want   metav1.ConditionStatus
		reason string
		next   time.Duration
	}{
		"never":                         {nil, metav1.ConditionFalse, v1alpha1.ReasonClaimsNotSeen, 0},
		"an hour ago":                   {[]func(*v1alpha1.IdentityProvider){seenAt(time.Hour)}, metav1.ConditionTrue, v1alpha1.ReasonClaimsArrived, 23 * time.Hour},
		"a moment less than a day ago":  {[]func(*v1alpha1.IdentityProvider){seenAt(24*time.Hour - time.Second)}, metav1.ConditionTrue, v1alpha1.ReasonClaimsArrived, time.Second},
		"a day ago":                     {[]func(*v1alpha1.IdentityProvider){seenAt(24 * time.Hour)}, metav1.ConditionFalse, v1alpha1.ReasonClaimsNotSeen, 0},
		"a year ago, and nobody minded": {[]func(*v1alpha1.IdentityProvider){seenAt(8760 * time.Hour)}, metav1.ConditionFalse, v1alpha1.ReasonClaimsNotSeen, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := apiWith(t, provider("lab", issuer, test.change...))
			r, _ := providersOf(a, &told{})
			result := look(t, r, "lab")
			if got := conditionOf(t, a, "lab", v1alpha1.ConditionClaimsSeen); got == nil || got.Status != test.want || got.Reason != test.reason || got.ObservedGeneration != 1 {
				t.Errorf("got %+v, want %s %s", got, test.want, test.reason)
			}
			if conditionOf(t, a, "lab", v1alpha1.ConditionConflict) != nil {
				t.Error("there is a conflict with nobody")
			}
			if got := result.RequeueAfter.Truncate(time.Second); got != test.next {
				t.Errorf("looks again after %s, want %s", got, test.next)
			}
			look(t, r, "lab")
			if len(a.written()) != 1 {
				t.Errorf("a second look writes: %v", a.written())
			}
		})
	}
}

func TestClaimsSeenEndsAfterADayByItself(t *testing.T) {
	t.Parallel()
	a, events := apiWith(t, provider("lab", issuer, seenAt(time.Hour))), &told{}
	r, clock := providersOf(a, events)
	clock.Step(look(t, r, "lab").RequeueAfter)
	look(t, r, "lab")
	if got := conditionOf(t, a, "lab", v1alpha1.ConditionClaimsSeen); got.Status != metav1.ConditionFalse || !strings.Contains(got.Message, "24 hours") {
		t.Errorf("after a day without claims: %+v", got)
	}
	if got := events.all(); len(got) != 2 || !strings.HasPrefix(got[1], "Warning ClaimsNotSeen") {
		t.Errorf("told %v", got)
	}
}

func TestAnIssuerThatTwoNameIsAConflictUntilOneGoes(t *testing.T) {
	t.Parallel()
	other := provider("twin", issuer)
	a, events := apiWith(t, provider("lab", issuer), other, provider("elsewhere", issuer+"/")), &told{}
	r, _ := providersOf(a, events)
	if got := r.others(t.Context(), other); len(got) != 1 || got[0].Name != "lab" {
		t.Errorf("another one of the issuer concerns %v", got)
	}
	look(t, r, "lab")
	look(t, r, "elsewhere")
	got := conditionOf(t, a, "lab", v1alpha1.ConditionConflict)
	if got == nil || got.Status != metav1.ConditionTrue || got.Reason != v1alpha1.ReasonIssuerTwice || !strings.Contains(got.Message, "twin") {
		t.Errorf("two of one issuer: %+v", got)
	}
	if conditionOf(t, a, "elsewhere", v1alpha1.ConditionConflict) != nil {
		t.Error("an issuer that differs by one byte is in conflict")
	}
	if got := events.all(); len(got) != 1 || !strings.HasPrefix(got[0], "Warning IssuerTwice") {
		t.Errorf("told %v", got)
	}
	if err := a.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	look(t, r, "lab")
	if conditionOf(t, a, "lab", v1alpha1.ConditionConflict) != nil {
		t.Error("the conflict stays when the other one is gone")
	}
}

func TestAProofOfWhatWasAskedBeforeIsWithdrawn(t *testing.T) {
	t.Parallel()
	a := apiWith(t, provider("lab", issuer))
	r, _ := providersOf(a, &told{})
	proofs := NewProofs(a, a, testclock.NewFakeClock(noon))
	if err := proofs.note(t.Context(), issuer, sighting{noon, 1}); err != nil {
		t.Fatal(err)
	}
	look(t, r, "lab")
	var p v1alpha1.IdentityProvider
	if err := a.Get(t.Context(), client.ObjectKey{Name: "lab"}, &p); err != nil || p.Status.ClaimsSeenAt == nil {
		t.Fatalf("%+v, %v", p.Status, err)
	}
	p.Spec.Proves = append(p.Spec.Proves, v1alpha1.ProvesAuthTime)
	p.Generation = 2
	if err := a.Update(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	look(t, r, "lab")
	if err := a.Get(t.Context(), client.ObjectKey{Name: "lab"}, &p); err != nil || p.Status.ClaimsSeenAt != nil {
		t.Errorf("the proof of less than is asked for now stands: %+v, %v", p.Status, err)
	}
	look(t, r, "lab")
	if got := conditionOf(t, a, "lab", v1alpha1.ConditionClaimsSeen); got.Status != metav1.ConditionFalse || got.ObservedGeneration != 2 {
		t.Errorf("got %+v", got)
	}
	before := len(a.written())
	look(t, r, "lab")
	if len(a.written()) != before {
		t.Errorf("a second look writes: %v", a.written())
	}
	if err := proofs.note(t.Context(), issuer, sighting{noon.Add(time.Minute), 1}); err != nil || len(a.written()) != before {
		t.Errorf("a proof of what was asked before is noted after all: %v, %v", a.written(), err)
	}
	if err := proofs.note(t.Context(), issuer, sighting{noon.Add(time.Minute), 2}); err != nil {
		t.Fatal(err)
	}
	look(t, r, "lab")
	if conditionOf(t, a, "lab", v1alpha1.ConditionClaimsSeen).Status != metav1.ConditionTrue {
		t.Error("a proof of what is asked for now does not count")
	}
}

func TestAProviderThatIsGoneIsNoTrouble(t *testing.T) {
	t.Parallel()
	r, _ := providersOf(apiWith(t), &told{})
	if result := look(t, r, "gone"); result.RequeueAfter != 0 {
		t.Errorf("looks again: %+v", result)
	}
}

func TestAStatusThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	t.Parallel()
	a, events := apiWith(t, provider("lab", issuer, seenAt(time.Hour))), &told{}
	a.refuse = []error{errors.New("a hitch")}
	r, _ := providersOf(a, events)
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "lab"}}); err == nil || len(events.all()) != 0 {
		t.Errorf("got %v, told %v", err, events.all())
	}
	look(t, r, "lab")
	if len(events.all()) != 1 {
		t.Errorf("told %v", events.all())
	}
}
