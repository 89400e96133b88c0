// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package account writes down what becomes of connections: in the tally, which labguard and metrics see, and in the journal, which people read. Each half
// of airlock has a book, and so does the port of labguard.
package account
