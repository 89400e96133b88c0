// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lifeline ties the life of a process to that of its parent: the child
// holds the reading end of a pipe whose writing end only the parent has, so
// that the kernel closes it when the parent ends in whatever way, kill -9
// included.
package lifeline
