// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"sync"

	"github.com/labguard/labguard/internal/posture"
)

// reads are the contents that are being read, so that one that many references mean is read once. Another host has to be asked by itself: else one
// that is silent would make the images of others wait.
type reads struct {
	mu    sync.Mutex
	under map[readKey]*read
}

type readKey struct{ host, digest string }

// read is one content under way.
type read struct {
	key readKey
	// done is closed once content and found are set.
	done    chan struct{}
	content posture.Content
	found   bool
}

// join gives the read of a key. Who is first has to do it and to call finish.
func (r *reads) join(key readKey) (one *read, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one, found := r.under[key]; found {
		return one, false
	}
	if r.under == nil {
		r.under = map[readKey]*read{}
	}
	one = &read{key: key, done: make(chan struct{})}
	r.under[key] = one
	return one, true
}

func (r *reads) finish(one *read, content posture.Content, found bool) {
	r.mu.Lock()
	delete(r.under, one.key)
	r.mu.Unlock()
	one.content, one.found = content, found
	close(one.done)
}
