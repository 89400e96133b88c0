// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// BreakGlassRequests counts requests that went through by break glass, as this replica has seen them.
var BreakGlassRequests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_break_glass_requests_total",
	Help: "Requests that went through by break glass, by namespace.",
}, []string{"namespace"})

// BreakGlassOpen is how many uses of break glass of a namespace nobody has acknowledged.
var BreakGlassOpen = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_break_glass_open",
	Help: "Uses of break glass that nobody has acknowledged, by namespace. On the leader only.",
}, []string{"namespace"})

// AccessFindings is how many holders of rights there are that go around the gate for people, by reason.
var AccessFindings = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_access_findings",
	Help: "Holders of rights that go around the gate for people, by reason (ClusterAdmin, ClaimsForgeable, MachineIdentityClaimable, NodesProxy, " +
		"RolesEscalatable, SecretsReadable). On the leader only.",
}, []string{"reason"})
