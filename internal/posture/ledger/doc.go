// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ledger keeps the books of the gate: which images a root workload was allowed to run, how that is written in its annotations
// and in the RolloutRecords of its namespace, and what a controller has to add.
//
// It is pure. Admission is a recorded fact that nobody recomputes: what stands in the protected annotation or in a record counts,
// whatever the age of the image and today's limits.
package ledger
