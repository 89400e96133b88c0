// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command krew makes the archives of the kubectl plugin for one version, each with the licence, and the manifest for Krew with their sums, in dist/krew.
// `make krew` calls it. It compiles a fresh clone of the commit that is checked out, which the tag of the version has to name, as hack/release does for
// images: nothing gets in that git does not know, and the same commit gives the same archives each time. It publishes nothing.
package main
