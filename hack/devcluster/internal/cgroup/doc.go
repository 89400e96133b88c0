// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cgroup removes what a node leaves in the cgroup hierarchies of the
// machine. They are the one thing of a node that the kernel does not remove with
// its processes.
package cgroup
