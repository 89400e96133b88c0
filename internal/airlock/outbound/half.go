// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"net"
	"net/netip"
	"sync"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/account"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/journal"
	"github.com/labguard/labguard/internal/airlock/live"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/relay"
	"github.com/labguard/labguard/internal/airlock/tally"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// Reasons that this half gives.
const (
	// TooManyConnections means that maxConnections stand.
	TooManyConnections trust.Reason = "TooManyConnections"
	// NoDestination means that a redirected connection does not say where it was going to, Loop that it was going to airlock.
	NoDestination trust.Reason = "NoDestination"
	Loop          trust.Reason = "Loop"
)

// Destination says where a redirected connection was going to.
type Destination func(*net.TCPConn) (netip.AddrPort, error)

// Half is the client half.
type Half struct {
	store       *material.Store
	table       *live.Table
	tally       *tally.Tally
	book        account.Book
	clock       clock.WithTicker
	destination Destination
	// empty has the addresses for mutual TLS at which nobody was there for a while.
	empty sync.Map
}

// New makes a client half. Destination may be nil where nothing is redirected.
func New(
	store *material.Store, table *live.Table, counts *tally.Tally, journal *journal.Journal, clock clock.WithTicker, destination Destination,
) *Half {
	return &Half{
		store: store, table: table, tally: counts, book: account.Book{Half: tally.Client, Tally: counts, Journal: journal, Clock: clock}, clock: clock,
		destination: destination,
	}
}

// Accept takes a connection of the application to the address of an upstream.
func (h *Half) Accept(at netip.AddrPort, connection *net.TCPConn) {
	snapshot := h.store.Current()
	upstream, found := find(snapshot, func(u config.Upstream) bool { return same(u.Listen, at) })
	if !found {
		h.refuse("", connection, &trust.RefusedError{Reason: trust.NotAllowed})
		return
	}
	h.admit(connection, func() error { return h.upstream(connection, upstream, snapshot) }, upstream.Name)
}

// AcceptRedirected takes a connection that the rules of the pod have sent here.
func (h *Half) AcceptRedirected(at netip.AddrPort, connection *net.TCPConn) {
	if h.destination == nil {
		h.refuse("", connection, &trust.RefusedError{Reason: NoDestination})
		return
	}
	to, err := h.destination(connection)
	if err != nil {
		h.refuse("", connection, &trust.RefusedError{Reason: NoDestination})
		return
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	// A connection to the port itself was not redirected, and one that is passed on to it would come back.
	if to.Port() == at.Port() && (to.Addr().IsLoopback() || to.Addr() == account.Source(connection).Addr()) {
		h.refuse("", connection, &trust.RefusedError{Reason: Loop})
		return
	}
	snapshot := h.store.Current()
	upstream, found := find(snapshot, func(u config.Upstream) bool {
		for _, destination := range u.Destinations {
			if same(destination, to) {
				return true
			}
		}
		return false
	})
	if !found {
		h.admit(connection, func() error { return h.pass(connection, to) }, "")
		return
	}
	h.admit(connection, func() error { return h.upstream(connection, upstream, snapshot) }, upstream.Name)
}

func find(snapshot *material.Snapshot, fits func(config.Upstream) bool) (config.Upstream, bool) {
	if snapshot.Configuration != nil {
		for _, upstream := range snapshot.Configuration.Upstreams {
			if fits(upstream) {
				return upstream, true
			}
		}
	}
	return config.Upstream{}, false
}

func same(text string, address netip.AddrPort) bool {
	parsed, err := netip.ParseAddrPort(text)
	return err == nil && netip.AddrPortFrom(parsed.Addr().Unmap(), parsed.Port()) == address
}

// admit takes a place for a connection and has it carried. Carry gives the place back at its end, unless it fails.
func (h *Half) admit(connection *net.TCPConn, carry func() error, name string) {
	if !h.table.Take() {
		h.refuse(name, connection, &trust.RefusedError{Reason: TooManyConnections})
		return
	}
	go func() {
		if err := carry(); err != nil {
			h.table.Give()
			h.refuse(name, connection, err)
		}
	}()
}

func (h *Half) upstream(connection *net.TCPConn, upstream config.Upstream, snapshot *material.Snapshot) error {
	reached, err := h.reach(upstream, snapshot)
	if err != nil {
		return err
	}
	return h.carry(connection, reached, &live.Connection{Upstream: upstream.Name, Secure: reached.kind == tally.Secure, Peer: reached.peer})
}

// pass carries a connection untouched to where it was going to: it is none of an upstream.
func (h *Half) pass(connection *net.TCPConn, to netip.AddrPort) error {
	dialed, err := dial(to.String())
	if err != nil {
		return &trust.RefusedError{Reason: dialReason(err)}
	}
	leg, err := relay.Plain(dialed)
	if err != nil {
		return err
	}
	return h.carry(connection, target{leg: leg, kind: tally.Passed}, &live.Connection{})
}

// carry has a connection carried to its end, and its place given back then. An error means that it never began.
func (h *Half) carry(connection *net.TCPConn, to target, entry *live.Connection) error {
	application, err := relay.Plain(connection)
	if err != nil {
		to.leg.Abort()
		return err
	}
	entry.Session = relay.New(application, to.leg, h.clock)
	if err := h.table.Add(entry); err != nil {
		to.leg.Abort()
		return err
	}
	h.tally.Dialed(entry.Upstream, to.kind, h.clock.Now())
	kind, from := to.kind, account.Source(connection)
	entry.Session.Start(func(reason string) {
		defer h.table.Give()
		// Counted first: a report in between has the handshake in one of the two.
		h.ended(entry, kind, from, reason)
		h.table.Remove(entry)
	})
	return nil
}

func (h *Half) ended(entry *live.Connection, kind string, from netip.AddrPort, reason string) {
	switch _, sent := entry.Session.Bytes(); {
	case reason == relay.RefusedByPeer && sent == 0:
		h.tally.RefusedByPeer(entry.Upstream, reason)
	case kind == tally.Secure && (sent > 0 || reason == relay.Closed):
		h.tally.LetIn(entry.Upstream, entry.Session.Started())
	}
	h.book.Ended(entry.Upstream, kind, entry, from, reason)
}

// refuse resets the connection, so that the application sees a failure and not the end of an answer.
func (h *Half) refuse(name string, connection *net.TCPConn, err error) {
	h.book.Refused(name, connection, err)
	// It is given up whatever fails here.
	_ = connection.SetLinger(0)
	_ = connection.Close()
}
