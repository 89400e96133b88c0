// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// AdmissionDecisions counts the answers of the validating rollout webhook by decision: allowed, warned or denied.
var AdmissionDecisions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_admission_decisions_total",
	Help: "Answers of the rollout gate, by decision (allowed, warned, denied).",
}, []string{"decision"})

// EnforcedNamespaces is how many namespaces the webhook configurations list.
var EnforcedNamespaces = prometheus.NewGauge(prometheus.GaugeOpts{
	Name: "labguard_enforced_namespaces",
	Help: "Namespaces that the rollout webhooks listen in.",
})

// Collectors are all metrics of this package that are not tied to one instance of something.
func Collectors() []prometheus.Collector {
	return []prometheus.Collector{AdmissionDecisions, EnforcedNamespaces, Images, EvaluationTimestamp, NextChangeTimestamp}
}
