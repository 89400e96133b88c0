// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package standing says how a LabWorkload stands, as its status has it: each requirement with its answer, the reason, the evidence and until when.
//
// It is pure and decides nothing: what it says is what labguard has written, and a requirement of which labguard has written nothing is Unknown.
package standing
