// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images for tests from Go programs, without Docker:
// one static program on an empty file system. They are pushed to the registry of
// the test cluster, from where its node pulls them.
package image
