// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package relay

import "sync"

// bufferSize is what one read takes, and the largest record of TLS.
const bufferSize = 16 << 10

type buffer [bufferSize]byte

// buffers are taken while bytes are on their way. The garbage collector takes back those that lie idle.
var buffers = sync.Pool{New: func() any { return new(buffer) }}

func takeBuffer() *buffer {
	if taken, ok := buffers.Get().(*buffer); ok {
		return taken
	}
	return new(buffer)
}

func giveBuffer(given *buffer) { buffers.Put(given) }
