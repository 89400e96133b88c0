// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster is `devcluster up`: it lays out a folder, starts the programs
// of a control plane in the order of their needs, says when they are ready and
// stops them in reverse. What each program is told is in components.go.
//
// Identities are part of what labguard relies on, so they are as on a real
// cluster: no program but kube-apiserver has more rights than its role, and the
// controllers of kube-controller-manager act as one service account each.
package cluster
