// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import "github.com/prometheus/client_golang/prometheus"

var (
	standing = prometheus.NewDesc("labguard_airlock_connections", "Connections that stand, both halves together.", nil, nil)
	notAfter = prometheus.NewDesc("labguard_airlock_certificate_not_after_timestamp_seconds",
		"End of the certificate that is shown to peers; absent without one.", nil, nil)
	current = prometheus.NewDesc("labguard_airlock_material_current",
		"1 while what is mounted is in use, 0 while an older one is, by what (configuration, identity).", []string{"what"}, nil)
)

// Describe is of prometheus.Collector.
func (s *Sources) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{standing, notAfter, current} {
		to <- desc
	}
}

// Collect is of prometheus.Collector.
func (s *Sources) Collect(to chan<- prometheus.Metric) {
	snapshot := s.Store.Current()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	gauge(standing, float64(s.Table.Taken()))
	if snapshot.Identity != nil {
		gauge(notAfter, float64(snapshot.Identity.Leaf().NotAfter.Unix()))
	}
	for what, problem := range map[string]string{"configuration": snapshot.ConfigurationError, "identity": snapshot.IdentityError} {
		value := 1.0
		if problem != "" {
			value = 0
		}
		gauge(current, value, what)
	}
}
