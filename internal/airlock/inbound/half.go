// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/account"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/handshake"
	"github.com/labguard/labguard/internal/airlock/journal"
	"github.com/labguard/labguard/internal/airlock/live"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/relay"
	"github.com/labguard/labguard/internal/airlock/tally"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// Reasons that this half gives.
const (
	// TooManyConnections means that maxConnections stand, TooManyHandshakes that this one was slow while others waited.
	TooManyConnections trust.Reason = "TooManyConnections"
	TooManyHandshakes  trust.Reason = "TooManyHandshakes"
	// ApplicationRefused means that the application does not listen.
	ApplicationRefused trust.Reason = "ApplicationRefused"
)

const (
	handshakeTimeout = 10 * time.Second
	dialTimeout      = 5 * time.Second
	// linger is how long a refused peer gets to take the reason.
	linger = 500 * time.Millisecond
	// partings is how many get it at once.
	partings = 64
)

// Half is the server half.
type Half struct {
	store   *material.Store
	table   *live.Table
	tally   *tally.Tally
	book    account.Book
	clock   clock.WithTicker
	gate    *Gate
	parting chan struct{}
	dialed  func(local, remote netip.AddrPort)
}

// New makes a server half. Dialed is told of each connection to the application.
func New(
	store *material.Store, table *live.Table, counts *tally.Tally, journal *journal.Journal, clock clock.WithTicker, dialed func(local, remote netip.AddrPort),
) *Half {
	return &Half{
		store: store, table: table, tally: counts, book: account.Book{Half: tally.Server, Tally: counts, Journal: journal, Clock: clock}, clock: clock,
		gate: NewGate(handshakes, clock), parting: make(chan struct{}, partings), dialed: dialed,
	}
}

// Accept takes a connection to one of the listeners.
func (h *Half) Accept(at netip.AddrPort, connection *net.TCPConn) {
	snapshot := h.store.Current()
	port, found := snapshot.Port(int(at.Port()))
	var reason trust.Reason
	switch {
	case !found:
		reason = trust.NotAllowed
	case snapshot.Identity == nil:
		reason = trust.NoIdentity
	case !snapshot.Anchors.Any():
		reason = trust.NoTrust
	case h.table.Full():
		reason = TooManyConnections
	}
	if reason != "" {
		h.book.Refused(port.Name, connection, &trust.RefusedError{Reason: reason})
		// It was accepted and is closed: nothing else can be done about it.
		_ = connection.Close()
		return
	}
	ticket := h.gate.Enter(connection)
	go h.serve(ticket, port, snapshot, connection)
}

func (h *Half) serve(ticket *Ticket, port config.Port, snapshot *material.Snapshot, connection *net.TCPConn) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	leg, peer, err := handshake.Serve(ctx, connection, snapshot, port.Peers, port.MinTLSVersion, h.clock)
	cancel()
	// The rest of the configuration is let go of, for however long the connection lives.
	name, number := port.Name, port.Port
	if err != nil {
		if ticket.Leave() {
			err = &trust.RefusedError{Reason: TooManyHandshakes}
		}
		h.book.Refused(name, connection, err)
		h.part(connection)
		return
	}
	ticket.Leave()
	if !h.table.Take() {
		h.book.Refused(name, connection, &trust.RefusedError{Reason: TooManyConnections, Peer: peer.Name()})
		leg.Abort()
		return
	}
	if err := h.carry(name, number, peer, leg, connection); err != nil {
		h.table.Give()
		h.book.Refused(name, connection, err)
		leg.Abort()
	}
}

// part lets a refused peer take the reason, which a reset would overtake, unless too many are at it already.
func (h *Half) part(connection *net.TCPConn) {
	select {
	case h.parting <- struct{}{}:
		handshake.Linger(connection, time.Now().Add(linger)) //nolint:forbidigo // A deadline of a socket is of the clock of the kernel.
		<-h.parting
	default:
		// It is given up either way.
		_ = connection.Close()
	}
}

// carry has the connection carried to its end, and its place given back then. An error means that it never began.
func (h *Half) carry(name string, port int, peer trust.Peer, leg *relay.Leg, connection *net.TCPConn) error {
	application, err := dial(port, connection)
	if err != nil {
		return &trust.RefusedError{Reason: ApplicationRefused, Peer: peer.Name()}
	}
	h.dialed(application.Addresses())
	entry := &live.Connection{Port: port, Secure: true, Peer: peer, Session: relay.New(leg, application, h.clock)}
	if err := h.table.Add(entry); err != nil {
		application.Abort()
		return err
	}
	h.tally.Accepted(name)
	entry.Session.Start(func(reason string) {
		defer h.table.Give()
		h.table.Remove(entry)
		h.book.Ended(name, tally.Secure, entry, account.Source(connection), reason)
	})
	return nil
}

// dial connects to the application: on loopback, and where it listens on the address of the pod alone, there.
func dial(port int, connection *net.TCPConn) (*relay.Leg, error) {
	hosts := []string{"127.0.0.1", "::1"}
	if local, ok := connection.LocalAddr().(*net.TCPAddr); ok && !local.IP.IsLoopback() {
		hosts = append(hosts, local.IP.String())
	}
	var failure error
	for _, host := range hosts {
		dialed, err := (&net.Dialer{Timeout: dialTimeout}).Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return plain(dialed)
		}
		failure = err
		// Without IPv6 in the pod its loopback address is not there.
		if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.ENETUNREACH) {
			break
		}
	}
	return nil, fmt.Errorf("connect to the application: %w", failure)
}

func plain(connection net.Conn) (*relay.Leg, error) {
	tcp, ok := connection.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(errors.New("is no TCP connection"), connection.Close())
	}
	return relay.Plain(tcp)
}
