// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command devcluster is a small real Kubernetes for tests and for trying
// labguard by hand. One program holds etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, kubectl and the controllers of
// cert-manager, compiled from their Go modules; `devcluster up` runs each of
// them as a process of its own, under its own identity, on loopback.
//
// Without --node it has no node: pods stay Pending. With it there are containerd,
// a kubelet, kube-proxy, DNS and an enforcer of network policies, and the whole
// cluster is in a network of its own. It must not be used for anything but
// development: it trades the durability of its data for speed.
package main
