// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package network makes the network that a cluster with a node lives in: a
// network namespace of its own, with nothing but loopback, where the parts of
// the control plane and the node run. The kernel removes it with all interfaces
// and rules in it when the last process in it ends, in whatever way that is. The
// outside reaches it through relays on the loopback of the machine.
package network
