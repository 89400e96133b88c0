// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows labguard at work on a real Kubernetes, without a question: it starts hack/devcluster (or takes the cluster of KUBECONFIG), runs
// the operator beside it, and walks through what a team sees: a certificate, a network policy, a fresh image that rolls out, a stale one that does
// not, and a workload whose image went stale and that restarts and scales all the same. Then it stays until Ctrl-C, to try by hand; DEMO_EXIT=1 ends
// it after the tour.
package main
