// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
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
		if diff := cmp.Diff(want, conditionsOf(t, "counted")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	tally.set(first, []metav1.Condition{ready, late})
	tally.set(second, []metav1.Condition{late})
	tally.set(second, []metav1.Condition{late})
	expect("two are late", map[string]float64{"Ready True Reconciled": 1, "TransitEncrypted Unknown RenewalLate": 2})
	tally.set(second, []metav1.Condition{encrypted, ready})
	tally.set(first, []metav1.Condition{late, ready})
	expect("one is renewed", map[string]float64{"Ready True Reconciled": 2, "TransitEncrypted Unknown RenewalLate": 1, "TransitEncrypted True MutualTLS": 1})
	tally.set(first, nil)
	expect("the other is gone", map[string]float64{"Ready True Reconciled": 1, "TransitEncrypted True MutualTLS": 1})
	tally.set(second, nil)
	expect("nothing is left", map[string]float64{})
}

// conditionsOf are the series of a namespace that there are.
func conditionsOf(t *testing.T, namespace string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics.Conditions)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["namespace"] == namespace {
				values[fmt.Sprint(labels["type"], " ", labels["status"], " ", labels["reason"])] = metric.GetGauge().GetValue()
			}
		}
	}
	return values
}
