// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reach evaluates NetworkPolicies over the pods that exist: what policies of others open beyond labguard's own, and which
// paths would be lost if a policy were written.
//
// Only networking.k8s.io/v1 is known, as its API says it: policies add up, a direction is closed for a pod once one policy selects it.
// A pod counts as inside an address block if all of its addresses are. What the network plugin makes of it is not known here, and
// neither is traffic within a node, which no policy stops. The package must not talk to a cluster, read a clock or write a condition.
package reach
