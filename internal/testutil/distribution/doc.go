// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package distribution runs the reference implementation of an OCI registry (github.com/distribution/distribution) for tests: in memory, on
// loopback, by plain http, with a token server as large registries have one. It counts what it is asked.
//
// Production code must not import this package.
package distribution
