// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package image makes container images of single static programs, without Docker,
// and pushes them to the registry of the cluster.
package image
