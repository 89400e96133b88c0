// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd carries the definitions of labguard's kinds, as controller-gen writes them, in programs that have to know them without a cluster. It
// interprets nothing.
package crd
