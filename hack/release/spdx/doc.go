// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package spdx writes what is in an image as a software bill of materials: an SPDX 2.3 document in JSON, from the build information that the
// Go command leaves in each program. It is pure: it takes values and returns values, and the same values give the same bytes.
//
// It says what is known and nothing more. The build information has no licences and no suppliers, so those of modules are NOASSERTION, and
// it has no graph: all modules are dependencies of the program.
package spdx
