// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package source compiles programs of labguard that are given out, so that others can make the same ones again: of a fresh clone of the commit that is
// checked out, and by no settings of whoever does it. hack/release makes images of them, and hack/krew archives.
package source
