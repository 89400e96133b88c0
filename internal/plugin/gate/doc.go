// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate says what the rollout gate would answer, and what it holds and why. It asks the function that admission asks (posture/rollout), with
// what can be read in the cluster: LabWorkloads, RolloutRecords and ImageRecords.
//
// It is pure, and asks no registry: what a tag means now may be newer than what labguard has read. Where something is not known it says so.
package gate
