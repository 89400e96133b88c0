// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster gives tests a real Kubernetes: the control plane, the
// controllers and the cert-manager of bin/devcluster. A test package asks for
// one in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }
//
// Its tests share that cluster, each in a namespace of its own. The first run on
// a machine compiles the cluster, which takes minutes and says so.
//
// While working on tests, run `bin/devcluster up --dir DIR` by hand and set
// LABGUARD_DEVCLUSTER_DIR=DIR: tests then use that cluster and leave it running.
// Give it the --crds of the tests, or garbage collection is half a minute late.
//
// Production code must not import this package.
package cluster
