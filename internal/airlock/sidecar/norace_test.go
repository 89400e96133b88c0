// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package sidecar_test

// raced says that the race detector is linked in.
const raced = false
