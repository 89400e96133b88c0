// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package material

import (
	"context"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// retryEvery is how often what has a problem is read again though no file has changed: a certificate that was not yet valid may be now.
const retryEvery = 10 * time.Second

// Store has the current snapshot.
type Store struct {
	directory string
	clock     clock.WithTicker
	current   atomic.Pointer[Snapshot]
	changed   []func(*Snapshot)
	version   string
	read      time.Time
}

// NewStore makes a store of a mounted directory, with an empty snapshot in it.
func NewStore(directory string, clock clock.WithTicker) *Store {
	store := &Store{directory: directory, clock: clock}
	store.current.Store(Empty())
	return store
}

// Current is the snapshot of now.
func (s *Store) Current() *Snapshot { return s.current.Load() }

// OnChange has a function called with each new snapshot. It belongs before Refresh and Run.
func (s *Store) OnChange(changed func(*Snapshot)) { s.changed = append(s.changed, changed) }

// Run looks for changes in every interval, until ctx ends. It looks at the link itself, as a notification of the kernel may be lost with its directory.
func (s *Store) Run(ctx context.Context, interval time.Duration) {
	ticker := s.clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			s.Refresh()
		}
	}
}

// Refresh reads what is mounted, if it has changed. Only one goroutine may call it at a time.
func (s *Store) Refresh() {
	now := s.clock.Now()
	seen, before := version(s.directory), s.Current()
	troubled := before.IdentityError != "" || before.ConfigurationError != ""
	if !s.read.IsZero() && seen == s.version && (!troubled || now.Sub(s.read) < retryEvery) {
		return
	}
	contents, err := read(s.directory, seen)
	if version(s.directory) != seen {
		// It was swapped meanwhile: what was absent may have been swept away. The next look sees the new one.
		s.version, s.read = "", time.Time{}
		return
	}
	after := *before
	if err != nil {
		after.ConfigurationError = err.Error()
	} else {
		after = *next(before, contents, now)
	}
	s.version, s.read = seen, now
	s.current.Store(&after)
	for _, changed := range s.changed {
		changed(&after)
	}
}
