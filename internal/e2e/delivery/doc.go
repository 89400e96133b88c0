// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package delivery has the test of what a platform team does with labguard on a real node: it installs the chart of the previous commit, takes the tour
// of the demo, upgrades, rolls back, upgrades again, to what cannot run too, brings back a gate that was taken down and a release whose uninstall has
// failed, and uninstalls in both ways that docs/install.md has. Commands and values are those of the documents. Images are made by hack/release. A laboratory works meanwhile, and its pods are watched: none of them restarts.
//
// The test has the build tag e2e and needs root on Linux, and a clone with the commit before the one that is checked out.
package delivery
