// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/relay"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// limitWithout is how many connections may stand while there is no configuration: those that were there, and no new ones need more.
const limitWithout = 16

// Connection is one that stands.
type Connection struct {
	// Port is the port of the application in the server half, Upstream the name of the upstream in the client half; neither: it was passed through.
	Port     int
	Upstream string
	// Secure says that Peer was proven by a handshake.
	Secure  bool
	Peer    trust.Peer
	Session *relay.Session
	// marked is why it is to end in a quiet moment, "" if it is not.
	marked string
}

// Table has all connections.
type Table struct {
	clock    clock.WithTicker
	mutex    sync.Mutex
	snapshot *material.Snapshot
	taken    int
	standing map[*Connection]struct{}
	empty    chan struct{}
	draining bool
}

// NewTable makes an empty table.
func NewTable(clock clock.WithTicker) *Table {
	return &Table{clock: clock, snapshot: material.Empty(), standing: map[*Connection]struct{}{}, empty: make(chan struct{})}
}

func (t *Table) limit() int {
	if t.snapshot.Configuration == nil {
		return limitWithout
	}
	return t.snapshot.Configuration.MaxConnections
}

// Full says that Take would fail now.
func (t *Table) Full() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.taken >= t.limit()
}

// Take takes the place of one connection, if there is one. Give gives it back.
func (t *Table) Take() bool {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.taken >= t.limit() {
		return false
	}
	t.taken++
	return true
}

// Give gives a place back.
func (t *Table) Give() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.taken--
	t.check()
}

// check tells whoever waits for the end that nothing is left.
func (t *Table) check() {
	if t.draining && t.taken == 0 {
		select {
		case <-t.empty:
		default:
			close(t.empty)
		}
	}
}

// Add enters a connection that has a place. It is judged by the snapshot of this moment, as another one may have been current when its handshake began.
func (t *Table) Add(c *Connection) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	verdict := judge(c, t.snapshot)
	if verdict.end != "" {
		return &trust.RefusedError{Reason: trust.Reason(verdict.end), Peer: c.Peer.Name()}
	}
	c.marked = verdict.mark
	t.standing[c] = struct{}{}
	return nil
}

// Remove takes a connection out. Its place is given back by Give.
func (t *Table) Remove(c *Connection) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.standing, c)
}

// Apply judges all connections by a new snapshot and ends those that may not stay.
func (t *Table) Apply(snapshot *material.Snapshot) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.snapshot = snapshot
	for c := range t.standing {
		verdict := judge(c, snapshot)
		if verdict.end != "" {
			c.Session.Abort(verdict.end)
		}
		c.marked = verdict.mark
	}
}

// Run looks after the connections once a second, until ctx ends.
func (t *Table) Run(ctx context.Context) {
	ticker := t.clock.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			t.tick()
		}
	}
}

func (t *Table) tick() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	now := t.clock.Now()
	var age time.Duration
	if t.snapshot.Configuration != nil {
		age = time.Duration(t.snapshot.Configuration.MaxConnectionAge) * time.Second
	}
	for c := range t.standing {
		mark := c.marked
		if t.draining {
			mark = Draining
		}
		due(c, mark, age, now)
	}
}

// Drain has all connections end in a quiet moment from now on, and returns when none is left or ctx has ended.
func (t *Table) Drain(ctx context.Context) error {
	t.mutex.Lock()
	t.draining = true
	t.check()
	t.mutex.Unlock()
	select {
	case <-t.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AbortAll ends everything at once.
func (t *Table) AbortAll(reason string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for c := range t.standing {
		c.Session.Abort(reason)
	}
}

// Taken is how many places are taken.
func (t *Table) Taken() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.taken
}

// LetIn is when the latest connection to each upstream began that stands, over mutual TLS, and over which the other side has sent something: with TLS 1.3
// only that shows that it let us in.
func (t *Table) LetIn() map[string]time.Time {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	latest := map[string]time.Time{}
	for c := range t.standing {
		if !c.Secure || c.Upstream == "" {
			continue
		}
		if _, sent := c.Session.Bytes(); sent > 0 && latest[c.Upstream].Before(c.Session.Started()) {
			latest[c.Upstream] = c.Session.Started()
		}
	}
	return latest
}

// Report counts the proven peers by the root that vouches for them now.
func (t *Table) Report() []report.Connections {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counts := map[report.Connections]int{}
	for c := range t.standing {
		if c.Secure {
			counts[report.Connections{Peer: c.Peer.Name(), Root: t.snapshot.Anchors.Root(c.Peer)}]++
		}
	}
	var list []report.Connections
	for at, n := range counts {
		at.Count = n
		list = append(list, at)
	}
	slices.SortFunc(list, func(a, b report.Connections) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Root, b.Root))
	})
	return list
}
