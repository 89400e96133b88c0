// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node runs the parts of a node: containerd, the kubelet and kube-proxy,
// with all containers, in process and mount namespaces that no other process of
// the machine is in. When the first process of them ends, the kernel ends the
// others and drops the mounts: nothing is left to clean but cgroups.
//
// What each part is told is in files.go and plan.go, which decide and do nothing;
// init_linux.go does what the plan says.
package node
