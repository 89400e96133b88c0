// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package operator runs the real manager for tests: as a process of its own, outside the cluster, under labguard's own ServiceAccount and with
// nothing but the rights of config/rbac, against the cluster of internal/testutil/cluster.
//
// Production code must not import this package.
package operator
