// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// Images is how many distinct images the LabWorkloads of a namespace have, by the answer about their age: Fresh, Stale, TooYoung, Unknown or Exempt. An
// image that two LabWorkloads select counts twice. Only the leader has it.
var Images = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_images",
	Help: "Images of LabWorkloads, by namespace and answer about their age (Fresh, Stale, TooYoung, Unknown, Exempt).",
}, []string{"namespace", "answer"})

// EvaluationTimestamp is when a sign of life went through the queue of LabWorkloads last. It is a vector without labels so that replicas that do not
// lead have no such series, instead of one that says 1970.
var EvaluationTimestamp = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_evaluation_timestamp_seconds",
	Help: "When a sign of life went through the queue of LabWorkloads last, in seconds since 1970. On the leader only.",
}, nil)

// NextChangeTimestamp is the earliest instant at which time alone changes an answer about a LabWorkload; there is no such series while none will.
var NextChangeTimestamp = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_next_change_timestamp_seconds",
	Help: "Earliest instant at which time alone changes an answer, in seconds since 1970. On the leader only.",
}, nil)

// Conditions is how many LabWorkloads of a namespace have a condition with a status and a reason, which are those that the API declares. Only the leader
// has it.
var Conditions = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "labguard_conditions",
	Help: "LabWorkloads by namespace, and type, status and reason of their conditions. On the leader only.",
}, []string{"namespace", "type", "status", "reason"})
