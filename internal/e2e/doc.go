// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e has the tests on a real node: `make e2e`. labguard runs there as its manifests say, pods run unmodified programs of a laboratory, and
// what is on the wire is read off the wire.
//
// The tests have the build tag e2e, need root on Linux, and share one cluster. Programs that they put into images are in internal/e2e/lab.
package e2e
