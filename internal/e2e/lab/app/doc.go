// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Command app is the laboratory of package lab as one static program: what it is, is its first argument. Tests put it into an image.
package main
