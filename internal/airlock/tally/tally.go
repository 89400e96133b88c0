// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tally

import (
	"sync"
	"time"
)

// Halves of airlock.
const (
	// Server is the half that peers connect to, Client the one that the application does, Admin the port of labguard.
	Server = "server"
	Client = "client"
	Admin  = "admin"
)

// Kinds of connections.
const (
	// Secure is mutual TLS, Plaintext a fallback, Passed a redirected connection to where no upstream is.
	Secure    = "secure"
	Plaintext = "plaintext"
	Passed    = "passed"
)

// Port counts at a port of the application.
type Port struct{ Secure, Refused int64 }

// Upstream counts at an upstream.
type Upstream struct {
	Secure, Plaintext, Failed int64
	LastPlaintext             time.Time
	// LastHandshake is when the latest of those began that are over and that the other side had let in.
	LastHandshake time.Time
	LastError     string
}

type key struct{ half, word string }

// New makes a tally of nothing.
func New() *Tally {
	return &Tally{
		ports: map[string]Port{}, upstreams: map[string]Upstream{}, refused: map[key]int64{}, ended: map[key]int64{}, opened: map[key]int64{},
		bytes: map[key]int64{},
	}
}

// Tally is all counters.
type Tally struct {
	mutex     sync.Mutex
	ports     map[string]Port
	upstreams map[string]Upstream
	refused   map[key]int64
	ended     map[key]int64
	opened    map[key]int64
	bytes     map[key]int64
}

func count[K comparable, V any](in map[K]V, at K, change func(*V)) {
	value := in[at]
	change(&value)
	in[at] = value
}

func add(n int64) func(*int64) { return func(value *int64) { *value += n } }

// Accepted counts a connection of a peer to a port.
func (t *Tally) Accepted(port string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	count(t.ports, port, func(p *Port) { p.Secure++ })
	count(t.opened, key{Server, Secure}, add(1))
}

// Refused counts a connection that was refused. Name is a port, an upstream, or "".
func (t *Tally) Refused(half, name, reason string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	count(t.refused, key{half, reason}, add(1))
	switch {
	case name == "":
	case half == Server:
		count(t.ports, name, func(p *Port) { p.Refused++ })
	case half == Client:
		count(t.upstreams, name, func(u *Upstream) { u.Failed++; u.LastError = reason })
	}
}

// Dialed counts a connection to an upstream that stands, of the kind Secure, Plaintext or Passed.
func (t *Tally) Dialed(upstream, kind string, now time.Time) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	count(t.opened, key{Client, kind}, add(1))
	switch kind {
	case Secure:
		count(t.upstreams, upstream, func(u *Upstream) { u.Secure++ })
	case Plaintext:
		count(t.upstreams, upstream, func(u *Upstream) { u.Plaintext++; u.LastPlaintext = now })
	}
}

// Ended counts the end of a connection and what went through it.
func (t *Tally) Ended(half, reason string, received, sent int64) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	count(t.ended, key{half, reason}, add(1))
	count(t.bytes, key{half, "received"}, add(received))
	count(t.bytes, key{half, "sent"}, add(sent))
}

// RefusedByPeer counts a connection to an upstream that stood, and was then refused by the other side: with TLS 1.3 that shows only after the handshake.
func (t *Tally) RefusedByPeer(upstream, reason string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	count(t.refused, key{Client, reason}, add(1))
	count(t.upstreams, upstream, func(u *Upstream) { u.Secure--; u.Failed++; u.LastError = reason })
}

// LetIn writes down when a connection over mutual TLS began that the other side had let in.
func (t *Tally) LetIn(upstream string, began time.Time) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	count(t.upstreams, upstream, func(u *Upstream) {
		if u.LastHandshake.Before(began) {
			u.LastHandshake = began
		}
	})
}

// Port is what was counted at a port, Upstream at an upstream.
func (t *Tally) Port(name string) Port {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.ports[name]
}

// Upstream is what was counted at an upstream.
func (t *Tally) Upstream(name string) Upstream {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.upstreams[name]
}

// RefusedTotal is how many connections of a half were refused for a reason.
func (t *Tally) RefusedTotal(half, reason string) int64 {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.refused[key{half, reason}]
}
