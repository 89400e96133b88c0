// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package program has the commands that are linked into devcluster. It starts
// them as their own main functions would, and decides nothing about how they
// are configured.
package program
