// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"sync"
	"sync/atomic"
)

const (
	// recordSize is the largest record of TLS, and what a read takes of a connection with little on its way.
	recordSize = 16 << 10
	// wideSize is what a read takes where the one before left something behind: fewer calls of the kernel for the same bytes.
	wideSize = 4 * recordSize
	// overhead is what TLS adds to wideSize bytes at most, while its records are small.
	overhead = 2 << 10
	// maxWide is how many wide buffers there are at once. Who gets none takes an ordinary one.
	maxWide = 64
)

// buffer holds bytes on their way.
type buffer struct {
	bytes []byte
	wide  bool
}

// Buffers are taken while bytes are on their way. The garbage collector takes back those that lie idle.
var (
	buffers     = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, recordSize)} }}
	wideBuffers = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, wideSize, wideSize+overhead), wide: true} }}
	wideTaken   atomic.Int32
)

func takeBuffer(wide bool) *buffer {
	pool := &buffers
	if wide {
		if wideTaken.Add(1) <= maxWide {
			pool = &wideBuffers
		} else {
			wideTaken.Add(-1)
		}
	}
	taken, ok := pool.Get().(*buffer)
	if !ok {
		return &buffer{bytes: make([]byte, recordSize)}
	}
	return taken
}

func giveBuffer(given *buffer) {
	if given.wide {
		wideTaken.Add(-1)
		wideBuffers.Put(given)
		return
	}
	buffers.Put(given)
}
