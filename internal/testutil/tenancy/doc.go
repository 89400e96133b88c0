// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tenancy gives tests of admission a namespace with a tenant who may edit it, on the cluster of internal/testutil/cluster. Cluster-scoped objects
// that a test installs get names of its own, and policies act on its namespace only, so that such tests run side by side. Everything goes when the
// test has ended.
//
// Production code must not import this package.
package tenancy
