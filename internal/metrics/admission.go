// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// AdmissionDecisions counts the answers of the validating rollout webhook by decision: allowed, warned, held or denied.
var AdmissionDecisions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_admission_decisions_total",
	Help: "Answers of the rollout gate, by decision (allowed, warned, held, denied).",
}, []string{"decision"})

// AdmissionWaits counts the requests that needed facts that were not known, by result: answered (the facts came in time), expired (they did not) or
// full (too many requests waited already).
var AdmissionWaits = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_admission_waits_total",
	Help: "Requests that needed facts about images that were not known, by result (answered, expired, full).",
}, []string{"result"})

// AdmissionWaitSeconds is how long requests waited for facts that were not known.
var AdmissionWaitSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
	Name:    "labguard_admission_wait_seconds",
	Help:    "How long requests waited for facts about images that were not known.",
	Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2, 4},
})

// HeldRollouts is how many root workloads of a namespace are held.
var HeldRollouts = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_held_rollouts",
	Help: "Workloads that are kept from rolling out until their images are fine, by namespace.",
}, []string{"namespace"})

// EnforcedNamespaces is how many namespaces the webhook configurations list.
var EnforcedNamespaces = prometheus.NewGauge(prometheus.GaugeOpts{
	Name: "labguard_enforced_namespaces",
	Help: "Namespaces that the rollout webhooks listen in.",
})

// Collectors are all metrics of this package that are not tied to one instance of something. Counters that alerts look at begin at zero: the increase from
// nothing to one is none to Prometheus, so that the first time would go unnoticed.
func Collectors() []prometheus.Collector {
	AccessDecisions.WithLabelValues("failed", "NotConfigured")
	AdmissionWaits.WithLabelValues("full")
	for _, result := range []string{ImageRecordRefused, ImageRecordQueueFull, ImageRecordLimit} {
		ImageRecordWrites.WithLabelValues(result)
	}
	return []prometheus.Collector{
		AdmissionDecisions, AdmissionWaits, AdmissionWaitSeconds, HeldRollouts, EnforcedNamespaces, ImageRecordWrites, AccessDecisions,
		Images, Conditions, EvaluationTimestamp, NextChangeTimestamp,
		BreakGlassRequests, BreakGlassOpen, AccessFindings,
		Airlocks, OldestAirlockReport, AirlockProbes, TrustRootsLeaving, TrustRootExpiry, TrustBundlePods, LateRenewals,
	}
}
