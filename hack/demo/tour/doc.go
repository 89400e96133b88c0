// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tour walks through what a team sees of labguard: a certificate, a network policy, a fresh image that rolls out, a stale one that does not, a
// stale one that waits, and a workload whose image went stale and that restarts and scales all the same. It types what a person would type, shows the
// answers, and fails where one is not what labguard promises.
//
// The demo takes it with labguard beside the cluster, the tests on a real node with labguard in it. It starts nothing and removes nothing.
package tour
