// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package node only documents this module: the programs of a node of the
// devcluster besides those that devcluster has linked in. go.mod names those of
// others as tools; dns, pause and policyplugin are its own. hack/build compiles
// all of them, without cgo, into one folder.
package node
