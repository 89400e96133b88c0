// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
)

func TestConditionsAreCounted(t *testing.T) {
	var tally conditionTally
	first, second := client.ObjectKey{Namespace: "counted", Name: "a"}, client.ObjectKey{Namespace: "counted", Name: "b"}
	late := metav1.Condition{Type: v1alpha1.ConditionTransitEncrypted, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonRenewalLate}
	encrypted := metav1.Condition{Type: v1alpha1.ConditionTransitEncrypted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMutualTLS}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReconciled}
	expect := func(when string, want map[string]float64) {
		t.Helper()
		if diff := cmp.Diff(want, series(t, metrics.Conditions, "counted")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	tally.set(first, []metav1.Condition{ready, late})
	tally.set(second, []metav1.Condition{late})
	tally.set(second, []metav1.Condition{late})
	expect("two are late", map[string]float64{"Reconciled True Ready": 1, "RenewalLate Unknown TransitEncrypted": 2})
	tally.set(second, []metav1.Condition{encrypted, ready})
	tally.set(first, []metav1.Condition{late, ready})
	expect("one is renewed", map[string]float64{"Reconciled True Ready": 2, "RenewalLate Unknown TransitEncrypted": 1, "MutualTLS True TransitEncrypted": 1})
	tally.set(first, nil)
	expect("the other is gone", map[string]float64{"Reconciled True Ready": 1, "MutualTLS True TransitEncrypted": 1})
	tally.set(second, nil)
	expect("nothing is left", map[string]float64{})
}
