// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package journal writes the log of connections: one line of JSON when a connection is refused and when one ends. It never has a key or anything of what went
// through, and whoever knocks a thousand times a second does not fill a disk: lines beyond a rate are counted and left out.
package journal
