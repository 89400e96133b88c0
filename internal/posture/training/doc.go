// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package training decides whose training is valid: which of the courses that a workload asks for a person lacks, when that changes by time alone,
// and what the condition StaffTrained says about everybody who is known to reach the workload.
//
// It is pure: no client, no context, no logger, no clock. People and courses are compared byte by byte. What it says names courses and counts
// people: never a person, never a date.
package training
