// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oci puts images together from values: an image of one program for each platform, the index of the platforms, and the artifact that
// refers to an image. It neither compiles nor writes nor asks anybody, and it has no clock: the same values give the same digests.
//
// An image has one layer with one file. There is no shell, no user database and no folder in it.
package oci
