// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package live has the connections that stand: how many there may be, and which of them have to end. A connection is judged anew with each new snapshot.
// It is ended at once if its peer is no longer allowed, and in a quiet moment if only a certificate has come to its end.
package live
