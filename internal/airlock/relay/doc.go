// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package relay carries bytes between two connections, in both directions, until both are done. It knows how to end one half, both in good order, or both at
// once, and it knows when the last byte went through. Who the peers are is not its business.
//
// A connection that is silent holds no buffer: bytes are read into one of the pool only once they are there.
package relay
