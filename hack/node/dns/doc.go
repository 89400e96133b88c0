// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command dns answers for the names of Services in a development cluster, as the
// specification of Kubernetes has them. It runs as a pod behind the Service
// kube-system/kube-dns, where network policies expect it. It asks no other server.
package main
