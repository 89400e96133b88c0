// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command krew makes the archives of the kubectl plugin for one version, each with the licence, and the manifest for Krew with their sums, in dist/krew.
// It compiles a fresh clone of the commit that is checked out, so that nothing gets in that git does not know, and makes the same archives of the same
// commit each time. It publishes nothing.
package main
