// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission/people"
)

// TestPropertyWhatIsKeptAnswersAsWhatIsReadAnew changes LabWorkloads, a provider and the time in any order, and asks in between: a gate that keeps what
// it has read, and reads only what has changed, answers as one that has just begun.
func TestPropertyWhatIsKeptAnswersAsWhatIsReadAnew(t *testing.T) {
	scheme := newScheme(t)
	rapid.Check(t, func(rt *rapid.T) {
		s := newSite(t, identityProvider(), pod("lis-0", "lis"))
		for range rapid.IntRange(1, 12).Draw(rt, "changes") {
			s.someChange(rt)
			if !rapid.Bool().Draw(rt, "ask") {
				continue
			}
			anew := people.New(s.client, s.clock, people.Config{User: labguard})
			if err := anew.Watch(t.Context(), &informertest.FakeInformers{Scheme: scheme}); err != nil {
				rt.Fatal(err)
			}
			for _, asked := range []webhook.Request{
				exec(mia(claim("amr", "pwd"))), exec(mia()), request(mia(claim("amr", "otp")), admissionv1.Delete, "services", "lis"),
			} {
				if diff := cmp.Diff(anew.Validating().Handle(t.Context(), asked), s.gate.Validating().Handle(t.Context(), asked)); diff != "" {
					rt.Fatalf("another answer than of a gate that has just begun (-anew +kept):\n%s", diff)
				}
			}
		}
	})
}

func (s *site) someChange(t *rapid.T) {
	switch rapid.SampledFrom([]string{"LabWorkload", "LabWorkload", "LabWorkload", "deletion", "time", "provider"}).Draw(t, "what") {
	case "LabWorkload":
		s.replace(t, someWorkload(t))
	case "deletion":
		gone := workload(func(w *v1alpha1.LabWorkload) { w.Name = someName(t) })
		if err := client.IgnoreNotFound(s.client.Delete(t.Context(), gone)); err != nil {
			t.Fatal(err)
		}
		s.missed(gone, lab+"/"+gone.Name)
	case "time":
		s.clock.SetTime(s.clock.Now().Add(time.Duration(rapid.IntRange(1, 120).Draw(t, "minutes")) * time.Minute))
	case "provider":
		s.replace(t, identityProvider(func(p *v1alpha1.IdentityProvider) {
			p.Spec.MaxAge = v1alpha1.LoginAge(rapid.SampledFrom([]string{"", "1h", "30h"}).Draw(t, "own age"))
		}))
	}
}

// replace writes an object anew, in place of one of its name, and lets its informer say so.
func (s *site) replace(t *rapid.T, object client.Object) {
	object.SetUID(types.UID(fmt.Sprint(rapid.IntRange(3, 1<<30).Draw(t, "uid"))))
	old, _ := object.DeepCopyObject().(client.Object)
	err := s.client.Get(t.Context(), client.ObjectKeyFromObject(object), old)
	if apierrors.IsNotFound(err) {
		if err := s.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		s.tell(object)
		return
	}
	object.SetResourceVersion(old.GetResourceVersion())
	object.SetGeneration(old.GetGeneration() + 1)
	if err := s.client.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	for _, handler := range s.informers.of(object) {
		handler.OnUpdate(old, object)
	}
}

func someName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "name")
}

func someWorkload(t *rapid.T) *v1alpha1.LabWorkload {
	enforcements := []v1alpha1.Enforcement{"", v1alpha1.EnforcementAudit, v1alpha1.EnforcementEnforce}
	return workload(func(w *v1alpha1.LabWorkload) {
		w.Name = someName(t)
		w.Spec.Selector.MatchLabels["app"] = rapid.SampledFrom([]string{"lis", "other"}).Draw(t, "app")
		w.Spec.EnforceAfter = rapid.SampledFrom([]string{"", "2026-11-26T12:30:00Z", "2026-11-26T14:00:00Z"}).Draw(t, "enforce after")
		w.Spec.MFA.Enforcement, w.Spec.Training.Enforcement = rapid.SampledFrom(enforcements).Draw(t, "mfa"), rapid.SampledFrom(enforcements).Draw(t, "training")
		w.Spec.MFA.MaxAge = v1alpha1.LoginAge(rapid.SampledFrom([]string{"1h", "2h", "12h"}).Draw(t, "age"))
		w.Spec.MFA.Methods = sets(rapid.SampledFrom([]string{"mfa", "hwk", "pwd"}).Draw(t, "methods"))
		switch rapid.IntRange(0, 3).Draw(t, "left out") {
		case 0:
			w.Spec.MFA = nil
		case 1:
			w.Spec.Training = nil
		}
	})
}

// TestManyChangesAtOnce are read as a whole.
func TestManyChangesAtOnce(t *testing.T) {
	s := newSite(t, laboratory()...)
	s.ask(t, exec(mia()))
	for i := range 150 {
		s.missed(workload(), fmt.Sprintf("%s/gone-%d", lab, i))
	}
	s.expect(t, exec(mia()), "Proven")
	if all, one := s.counted(lab); all != 2 || one > 0 {
		t.Errorf("all was read %d times, and single ones %d times", all, one)
	}
}
