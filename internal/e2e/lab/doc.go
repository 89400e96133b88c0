// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lab has the programs of a small laboratory, for the tests on a real node: an information system and analysers that speak MLLP, an interface
// engine that listens on the port that it dials, a portal, and one that looks at the wire.
//
// They know nothing of labguard. What they count (sent, acknowledged, sent again, processed twice) is the evidence of the tests.
package lab
