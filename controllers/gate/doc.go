// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate keeps labguard's own webhook configurations and admission policies: which namespaces they list, which authority they trust,
// and that they leave with labguard. The policies of the sidecar are
// among them. There is one of them for the cluster, so every request means the same.
package gate
