//go:build !linux

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package program

// nodePrograms are none: a node needs Linux.
var nodePrograms = map[string]Program{}
