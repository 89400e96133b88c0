// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubelet plays the nodes of a cluster that has none, for the cluster of internal/testutil/cluster: it registers Nodes, and reports the pods
// that the real scheduler binds to them as running and ready, each container with the digest that its image means in its registry at that moment.
// Nothing is run. Pods with a scheduling gate are never bound, so they stay Pending.
//
// Production code must not import this package.
package kubelet
