// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package check has tests only: it holds the answers of kubectl labguard check against those of a real API server with labguard's webhooks, on one
// corpus of manifests (internal/testutil/manifests). What the check is made of is tested beside it.
package check
