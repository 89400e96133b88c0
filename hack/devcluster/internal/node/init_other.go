//go:build !linux

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"os"
)

// Init fails: a node needs Linux.
func Init([]string) int {
	fmt.Fprintln(os.Stderr, "node: it needs Linux")
	return 1
}

// Parts fails as Init does.
func Parts(args []string) int { return Init(args) }
