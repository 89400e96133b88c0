// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
)

func TestReasonsOfTransitAreCounted(t *testing.T) {
	var tally transitTally
	first, second := client.ObjectKey{Namespace: "counted", Name: "a"}, client.ObjectKey{Namespace: "counted", Name: "b"}
	expect := func(reason string, want float64) {
		t.Helper()
		if got := testutil.ToFloat64(metrics.Transit.WithLabelValues("counted", reason)); got != want {
			t.Errorf("%s: %v, want %v", reason, got, want)
		}
	}
	tally.set(first, v1alpha1.ReasonRenewalLate)
	tally.set(second, v1alpha1.ReasonRenewalLate)
	expect(v1alpha1.ReasonRenewalLate, 2)
	tally.set(second, v1alpha1.ReasonMutualTLS)
	expect(v1alpha1.ReasonRenewalLate, 1)
	expect(v1alpha1.ReasonMutualTLS, 1)
	tally.set(first, "")
	expect(v1alpha1.ReasonRenewalLate, 0)
}
