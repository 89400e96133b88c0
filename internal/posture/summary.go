// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Requirements are the conditions of all requirements that a spec can make, in the order in which kubectl shows them. A requirement that is not made has no
// condition, and is no part of the sum.
func Requirements() []string {
	return []string{
		v1alpha1.ConditionNetworkIsolated, v1alpha1.ConditionTransitEncrypted, v1alpha1.ConditionMFAEnforced, v1alpha1.ConditionStaffTrained,
		v1alpha1.ConditionImagesFresh,
	}
}

// Compliant sums up the answers to the requirements that a spec makes, by the name of their condition: False if one is False, else
// Unknown if one is Unknown, else True. Without any requirement nothing was shown, so the sum is Unknown.
func Compliant(answers map[string]Verdict) Verdict {
	if len(answers) == 0 {
		return verdict(metav1.ConditionUnknown, v1alpha1.ReasonNoRequirement, "the spec makes no requirement")
	}
	var failed, unknown []string
	var next time.Time
	for name, answer := range answers {
		next = Earliest(next, answer.NextChange)
		switch answer.Status() {
		case metav1.ConditionTrue:
		case metav1.ConditionFalse:
			failed = append(failed, name)
		default:
			unknown = append(unknown, name)
		}
	}
	sum := verdict(metav1.ConditionTrue, v1alpha1.ReasonAllTrue, "every requirement holds")
	switch {
	case len(failed) > 0:
		sum = verdict(metav1.ConditionFalse, v1alpha1.ReasonRequirementFailed, "does not hold: %s", all(failed))
	case len(unknown) > 0:
		sum = verdict(metav1.ConditionUnknown, v1alpha1.ReasonRequirementUnknown, "not known: %s", all(unknown))
	}
	sum.NextChange = next
	return sum
}

// all names every requirement: they are few, and each is news.
func all(names []string) []string {
	slices.Sort(names)
	return []string{strings.Join(names, ", ")}
}
