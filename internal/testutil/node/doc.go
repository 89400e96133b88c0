// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node gives tests a cluster with a node that runs pods: the one of
// internal/testutil/cluster, with `devcluster up --node`. It needs root on Linux.
//
//	func TestMain(m *testing.M) { os.Exit(node.Main(m)) }
//
// What package cluster offers works as ever. Besides, tests can push images of Go
// programs, switch the enforcer of NetworkPolicies, and reach into the network of
// the node: pods and Services have no address on the machine itself.
package node
