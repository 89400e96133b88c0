// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inbound

import (
	"net"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// handshakes is how many may be under way at once. Whoever comes then waits in the backlog of the kernel.
	handshakes = 128
	// patience is how long a handshake may take while others wait. An honest peer is done in milliseconds; whoever sends a byte a second is not.
	patience = time.Second
)

// Gate bounds the handshakes that are under way.
type Gate struct {
	clock clock.WithTicker
	mutex sync.Mutex
	slots chan struct{}
	under map[*Ticket]struct{}
}

// Ticket is one handshake.
type Ticket struct {
	gate       *Gate
	connection *net.TCPConn
	since      time.Time
	shed       bool
}

// NewGate makes a gate for a number of handshakes.
func NewGate(size int, clock clock.WithTicker) *Gate {
	return &Gate{clock: clock, slots: make(chan struct{}, size), under: map[*Ticket]struct{}{}}
}

// Enter waits for a place. While there is none, the oldest handshake that has used up its patience is ended.
func (g *Gate) Enter(connection *net.TCPConn) *Ticket {
	for {
		select {
		case g.slots <- struct{}{}:
			return g.admit(connection)
		default:
		}
		wait := g.shedOldest()
		timer := g.clock.NewTimer(wait)
		select {
		case g.slots <- struct{}{}:
			timer.Stop()
			return g.admit(connection)
		case <-timer.C():
		}
	}
}

func (g *Gate) admit(connection *net.TCPConn) *Ticket {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	ticket := &Ticket{gate: g, connection: connection, since: g.clock.Now()}
	g.under[ticket] = struct{}{}
	return ticket
}

// shedOldest ends the oldest handshake if it is old enough. It returns after what time there may be another one.
func (g *Gate) shedOldest() time.Duration {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	var oldest *Ticket
	for ticket := range g.under {
		if !ticket.shed && (oldest == nil || ticket.since.Before(oldest.since)) {
			oldest = ticket
		}
	}
	if oldest == nil {
		return patience
	}
	if left := patience - g.clock.Since(oldest.since); left > 0 {
		return left
	}
	oldest.shed = true
	// Closing is all that is wanted of it.
	_ = oldest.connection.Close()
	return patience
}

// Leave gives the place back. It says whether the handshake was ended for others.
func (t *Ticket) Leave() (shed bool) {
	t.gate.mutex.Lock()
	defer t.gate.mutex.Unlock()
	delete(t.gate.under, t)
	<-t.gate.slots
	return t.shed
}
