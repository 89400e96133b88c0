//go:build !linux

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import "errors"

// Check fails.
func Check(string) error { return errors.New("a node needs Linux") }

// Snapshotter is one that works everywhere.
func Snapshotter(string) string { return "native" }
