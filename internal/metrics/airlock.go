// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// States of Airlocks.
const (
	// AirlockReporting: it answers, and has a certificate and roots.
	AirlockReporting = "reporting"
	// AirlockSilent: it has not answered for two minutes.
	AirlockSilent = "silent"
	// AirlockNoIdentity: it answers and has no certificate.
	AirlockNoIdentity = "no_identity"
	// AirlockNoTrust: it answers and has no root of the trust domain.
	AirlockNoTrust = "no_trust"
)

// Results of AirlockProbes.
const (
	// ProbeReached: a port could be reached that is to be closed.
	ProbeReached = "reached"
	// ProbeStopped: it could not be reached, and the airlock beside it could.
	ProbeStopped = "stopped"
	// ProbeUncontrolled: it could not be reached, and neither could the airlock beside it: that shows nothing.
	ProbeUncontrolled = "uncontrolled"
)

// Airlocks is how many pods with airlock are asked, by state.
var Airlocks = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_airlocks",
	Help: "Pods with airlock, by state (reporting, silent, no_identity, no_trust). On the leader only.",
}, []string{"state"})

// OldestAirlockReport is when the airlock was last heard of that has been silent longest.
var OldestAirlockReport = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_airlock_oldest_report_timestamp_seconds",
	Help: "When the airlock that has been silent longest reported last, in seconds since 1970. On the leader only.",
}, nil)

// AirlockProbes counts tries to reach ports that are to be closed.
var AirlockProbes = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_airlock_probes_total",
	Help: "Tries to reach ports that are to be closed, by result (reached, stopped, uncontrolled). On the leader only.",
}, []string{"result"})

// TrustRootsLeaving is how many roots of a bundle the configuration no longer has and somebody still uses.
var TrustRootsLeaving = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_trust_roots_leaving",
	Help: "Roots that the configuration no longer has and that stay since they may be in use, by bundle. On the leader only.",
}, []string{"bundle"})

// TrustRootExpiry is when the first configured root of a bundle expires.
var TrustRootExpiry = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_trust_root_expiry_timestamp_seconds",
	Help: "When the first root expires that the configuration has for a bundle, in seconds since 1970. On the leader only.",
}, []string{"bundle"})

// TrustBundlePods is in how many pods with airlock a bundle has all configured roots.
var TrustBundlePods = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_trust_bundle_pods",
	Help: "Pods with airlock by bundle and whether it has all configured roots there (current, behind, unknown). On the leader only.",
}, []string{"bundle", "state"})

// LateRenewals is how many certificates that labguard has asked for were not renewed in time.
var LateRenewals = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_late_renewals",
	Help: "Certificates whose renewal is late, by namespace and how late (late: 12 h, very_late: half of the time until expiry). On the leader only.",
}, []string{"namespace", "lateness"})
