// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// AccessDecisions counts the answers of the webhooks about people by decision (allowed, refused, audited, warned; failed: there was no answer) and by the
// reason, of those that posture/access has.
var AccessDecisions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_access_decisions_total",
	Help: "Answers about people's access, by decision (allowed, refused, audited, warned, failed) and reason.",
}, []string{"decision", "reason"})
