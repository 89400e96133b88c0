// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package golden compares what builders give with files in testdata. `go test <package> -update` writes the files: read the difference before you
// commit it.
//
// Production code must not import this package.
package golden
