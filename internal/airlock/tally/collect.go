// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tally

import "github.com/prometheus/client_golang/prometheus"

var (
	opened = prometheus.NewDesc("labguard_airlock_connections_total",
		"Connections that stood, by half (server, client) and kind (secure, plaintext: a fallback, passed: redirected and no upstream).", []string{"half", "kind"}, nil)
	refused = prometheus.NewDesc("labguard_airlock_refused_total",
		"Connections that were refused, by half (server, client, admin) and reason.", []string{"half", "reason"}, nil)
	ended = prometheus.NewDesc("labguard_airlock_ended_total",
		"Connections that ended, by half and reason.", []string{"half", "reason"}, nil)
	carried = prometheus.NewDesc("labguard_airlock_bytes_total",
		"Bytes of connections that have ended, by half and direction (received: from the client, sent: to it).", []string{"half", "direction"}, nil)
	upstream = prometheus.NewDesc("labguard_airlock_upstream_connections_total",
		"Connections to an upstream, by upstream and result (secure, plaintext, failed).", []string{"upstream", "result"}, nil)
	port = prometheus.NewDesc("labguard_airlock_port_connections_total",
		"Connections to a port of the application, by port and result (secure, refused).", []string{"port", "result"}, nil)
)

// Describe is of prometheus.Collector.
func (t *Tally) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{opened, refused, ended, carried, upstream, port} {
		to <- desc
	}
}

// Collect is of prometheus.Collector.
func (t *Tally) Collect(to chan<- prometheus.Metric) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counter := func(desc *prometheus.Desc, value int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(max(value, 0)), labels...)
	}
	for _, pairs := range []struct {
		desc *prometheus.Desc
		of   map[key]int64
	}{{opened, t.opened}, {refused, t.refused}, {ended, t.ended}, {carried, t.bytes}} {
		for at, value := range pairs.of {
			counter(pairs.desc, value, at.half, at.word)
		}
	}
	for name, value := range t.upstreams {
		counter(upstream, value.Secure, name, Secure)
		counter(upstream, value.Plaintext, name, Plaintext)
		counter(upstream, value.Failed, name, "failed")
	}
	for name, value := range t.ports {
		counter(port, value.Secure, name, Secure)
		counter(port, value.Refused, name, "refused")
	}
}
