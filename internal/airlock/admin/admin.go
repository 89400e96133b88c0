// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/account"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/handshake"
	"github.com/labguard/labguard/internal/airlock/inbound"
	"github.com/labguard/labguard/internal/airlock/journal"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/airlock/tally"
	"github.com/labguard/labguard/internal/airlock/trust"
)

const (
	// connections is how many labguard may have, pending how many handshakes may be under way.
	connections = 4
	pending     = 16
	// handshakeTimeout is short: labguard is near, and a place is scarce.
	handshakeTimeout = 5 * time.Second
	// maxScrapes is how many answers with metrics are made at once.
	maxScrapes = 2
	// TooMany means that all places are taken.
	TooMany = inbound.TooManyConnections
)

// Admin is the port of labguard. Connections come by Accept, as they do in both halves.
type Admin struct {
	store   *material.Store
	tally   *tally.Tally
	journal *journal.Journal
	clock   clock.WithTicker
	server  *http.Server
	ready   *handover
	gate    *inbound.Gate
	places  chan struct{}
}

// New makes the admin port. Told gives the report.
func New(
	store *material.Store, tally *tally.Tally, journal *journal.Journal, clock clock.WithTicker, told func() report.Report, metrics prometheus.Gatherer,
) *Admin {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+report.Path, func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.Marshal(told())
		if err != nil || len(text) > report.MaxBytes {
			http.Error(w, "the report is too large", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// Nobody is there to be told that the answer was not taken.
		_, _ = w.Write(text)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: answerTimeout}))
	return &Admin{
		store: store, tally: tally, journal: journal, clock: clock, server: server(mux),
		ready: &handover{connections: make(chan net.Conn), closed: make(chan struct{})}, gate: inbound.NewGate(pending, clock), places: make(chan struct{}, connections),
	}
}

// Serve answers until Close.
func (a *Admin) Serve() error {
	if err := a.server.Serve(a.ready); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends all connections.
func (a *Admin) Close() error { return a.server.Close() }

// Accept takes a connection. It is labguard's, or it is refused.
func (a *Admin) Accept(_ netip.AddrPort, connection *net.TCPConn) {
	snapshot := a.store.Current()
	switch {
	case snapshot.Identity == nil:
		a.refuse(connection, &trust.RefusedError{Reason: trust.NoIdentity})
	case snapshot.Configuration == nil:
		a.refuse(connection, &trust.RefusedError{Reason: trust.NotAllowed})
	default:
		// Whoever is slow gives way: else a few that say nothing would keep labguard out.
		go a.admit(a.gate.Enter(connection), connection, snapshot)
	}
}

func (a *Admin) admit(ticket *inbound.Ticket, connection *net.TCPConn, snapshot *material.Snapshot) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	operator := []config.Peer{{ID: snapshot.Configuration.Operator}}
	leg, peer, err := handshake.Serve(ctx, connection, snapshot, operator, config.TLS13, a.clock)
	cancel()
	shed := ticket.Leave()
	if err != nil {
		if shed {
			err = &trust.RefusedError{Reason: inbound.TooManyHandshakes}
		}
		a.refuse(connection, err)
		return
	}
	select {
	case a.places <- struct{}{}:
		a.ready.give(&place{Conn: leg.Conn(), free: func() { <-a.places }})
	default:
		a.refuse(connection, &trust.RefusedError{Reason: TooMany, Peer: peer.Name()})
	}
}

func (a *Admin) refuse(connection *net.TCPConn, err error) {
	account.Book{Half: tally.Admin, Tally: a.tally, Journal: a.journal, Clock: a.clock}.Refused("", connection, err)
	// It is given up whatever fails here.
	_ = connection.Close()
}

// place gives its place back when it is closed.
type place struct {
	net.Conn
	once sync.Once
	free func()
}

// Close closes the connection.
func (p *place) Close() error {
	defer p.once.Do(p.free)
	return p.Conn.Close()
}

// handover is a listener whose connections have had their handshake.
type handover struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

func (h *handover) give(connection net.Conn) {
	select {
	case h.connections <- connection:
	case <-h.closed:
		_ = connection.Close()
	}
}

// Accept is of net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case connection := <-h.connections:
		return connection, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close is of net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is of net.Listener.
func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }
