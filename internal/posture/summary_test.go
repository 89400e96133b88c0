// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

func TestCompliantIsTheSumOfTheRequirements(t *testing.T) {
	t.Parallel()
	yes, no, unknown := metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	for name, test := range map[string]struct {
		answers map[string]Verdict
		want    Verdict
	}{
		"no requirement shows nothing": {
			nil, Verdict{Answer: unknown, Reason: v1alpha1.ReasonNoRequirement, Message: "the spec makes no requirement"},
		},
		"all True is True": {
			map[string]Verdict{"ImagesFresh": {Answer: yes}, "NetworkIsolated": {Answer: yes}},
			Verdict{Answer: yes, Reason: v1alpha1.ReasonAllTrue, Message: "every requirement holds"},
		},
		"one Unknown is Unknown": {
			map[string]Verdict{"ImagesFresh": {Answer: unknown}, "NetworkIsolated": {Answer: yes}},
			Verdict{Answer: unknown, Reason: v1alpha1.ReasonRequirementUnknown, Message: "not known: ImagesFresh"},
		},
		"one that nobody answered is Unknown": {
			map[string]Verdict{"ImagesFresh": {}, "NetworkIsolated": {Answer: yes}},
			Verdict{Answer: unknown, Reason: v1alpha1.ReasonRequirementUnknown, Message: "not known: ImagesFresh"},
		},
		"one False is False whatever is unknown, and all that fail are named in order": {
			map[string]Verdict{"TransitEncrypted": {Answer: no}, "ImagesFresh": {Answer: unknown}, "NetworkIsolated": {Answer: no}},
			Verdict{Answer: no, Reason: v1alpha1.ReasonRequirementFailed, Message: "does not hold: NetworkIsolated, TransitEncrypted"},
		},
		"a login that nobody can prove is Unknown like any other": {
			map[string]Verdict{v1alpha1.ConditionMFAEnforced: {Answer: unknown}, v1alpha1.ConditionStaffTrained: {Answer: yes}},
			Verdict{Answer: unknown, Reason: v1alpha1.ReasonRequirementUnknown, Message: "not known: MFAEnforced"},
		},
		"a word that is no answer is Unknown": {
			map[string]Verdict{"ImagesFresh": {Answer: "Maybe"}},
			Verdict{Answer: unknown, Reason: v1alpha1.ReasonRequirementUnknown, Message: "not known: ImagesFresh"},
		},
		"it can change when the first of its parts does": {
			map[string]Verdict{"ImagesFresh": {Answer: yes, NextChange: today.Add(day)}, "TransitEncrypted": {Answer: yes, NextChange: today.Add(2 * day)}, "NetworkIsolated": {Answer: yes}},
			Verdict{Answer: yes, Reason: v1alpha1.ReasonAllTrue, Message: "every requirement holds", NextChange: today.Add(day)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, Compliant(test.answers)); diff != "" {
				t.Errorf("sum (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPropertyTheSumIsTheWorstPart(t *testing.T) {
	t.Parallel()
	rank := map[metav1.ConditionStatus]int{metav1.ConditionTrue: 0, "": 1, metav1.ConditionUnknown: 1, metav1.ConditionFalse: 2}
	answer := rapid.SampledFrom([]metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown, ""})
	names := append(Requirements(), "RestEncrypted")
	rapid.Check(t, func(t *rapid.T) {
		answers, worst := map[string]Verdict{}, 0
		for _, name := range names[:rapid.IntRange(1, len(names)).Draw(t, "requirements")] {
			part := Verdict{Answer: answer.Draw(t, name), NextChange: rapid.SampledFrom([]time.Time{{}, today, today.Add(day)}).Draw(t, "next")}
			answers[name], worst = part, max(worst, rank[part.Answer])
		}
		got := Compliant(answers)
		requireSound(t, got)
		if rank[got.Status()] != worst {
			t.Fatalf("%+v sum up to %s", answers, got.Status())
		}
	})
}
