// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report is what an airlock says of itself to labguard over the admin port: one JSON document, GET /report over mutual TLS.
//
// It has types and limits and nothing else. What it says is the word of whoever holds the identity of the pod, so labguard believes it about that pod alone.
package report
