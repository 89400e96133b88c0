// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package documented reads the commands of the documentation and runs them, so that a page says what works and a test says the same. A block is found
// by its file, its heading and its number below that heading; test/docs fails for each block of commands that no test reads.
//
// Calls name the block with literals: that is how test/docs finds who reads it.
// Production code must not import this package.
package documented
