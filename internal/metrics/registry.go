// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// RegistryLookups counts the questions to the registry adapter by result: known (facts from memory), recorded (facts from an ImageRecord, which are
// in memory from then on), failed (a remembered failure), missing (a fetch is on its way), slow (as well, and nobody waits for it, as its registry
// let others wait in vain) or full (too many fetches wait).
var RegistryLookups = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_registry_lookups_total",
	Help: "Questions for facts about images, by result (known, recorded, failed, missing, slow, full).",
}, []string{"result"})

// RegistryFetches counts finished fetches by result: Resolved, or the reason of the Unknown answer (api/v1alpha1).
var RegistryFetches = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_registry_fetches_total",
	Help: "Finished fetches of facts about images, by result (Resolved or the reason why the facts are unknown).",
}, []string{"result"})

// RegistryFetchSeconds is how long fetches take.
var RegistryFetchSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
	Name:    "labguard_registry_fetch_duration_seconds",
	Help:    "Duration of fetches of facts about images.",
	Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20},
})

// RegistryRequests counts HTTP requests to registries, token servers and storage by class of answer: 1xx to 5xx, 429 or error.
var RegistryRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_registry_requests_total",
	Help: "HTTP requests for facts about images, by class of answer (2xx, 3xx, 4xx, 429, 5xx, error).",
}, []string{"code"})

// RegistryPending is how many fetches are waiting or running.
var RegistryPending = prometheus.NewGauge(prometheus.GaugeOpts{
	Name: "labguard_registry_pending_fetches",
	Help: "Fetches of facts about images that wait or run.",
})

// RegistryCollectors are the metrics of the registry adapter.
func RegistryCollectors() []prometheus.Collector {
	for _, code := range []string{"2xx", "429", "5xx", "error"} { // as in Collectors
		RegistryRequests.WithLabelValues(code)
	}
	return []prometheus.Collector{RegistryLookups, RegistryFetches, RegistryFetchSeconds, RegistryRequests, RegistryPending}
}
