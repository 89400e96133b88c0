// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package enforcer holds the nftables of a node to the NetworkPolicies of its
// cluster: it watches, has package policy decide, and replaces its table as a
// whole. Over HTTP on loopback tests switch it, and the network plugin announces
// pods: their network exists once the rules know them.
package enforcer
