// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package labworkload reconciles LabWorkloads: it gathers what is, lets posture decide, writes the network policy and the certificate, and
// reports what holds, what does not and what nobody can know.
package labworkload
