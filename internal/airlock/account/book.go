// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"errors"
	"net"
	"net/netip"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/handshake"
	"github.com/labguard/labguard/internal/airlock/journal"
	"github.com/labguard/labguard/internal/airlock/live"
	"github.com/labguard/labguard/internal/airlock/tally"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// Book is that of one half: tally.Server, tally.Client or tally.Admin.
type Book struct {
	Half    string
	Tally   *tally.Tally
	Journal *journal.Journal
	Clock   clock.PassiveClock
}

// Refused writes down that a connection was refused, and why. Name is the port, the upstream, or "".
func (b Book) Refused(name string, connection *net.TCPConn, err error) {
	var refusal *trust.RefusedError
	if !errors.As(err, &refusal) {
		refusal = &trust.RefusedError{Reason: handshake.NoAgreement}
	}
	b.Tally.Refused(b.Half, name, string(refusal.Reason))
	b.Journal.Refused(journal.Entry{Half: b.Half, Name: name, Peer: refusal.Peer, Source: Source(connection), Reason: string(refusal.Reason)})
}

// Ended writes down that a connection is over. Kind is that of the tally.
func (b Book) Ended(name, kind string, connection *live.Connection, source netip.AddrPort, reason string) {
	received, sent := connection.Session.Bytes()
	b.Tally.Ended(b.Half, reason, received, sent)
	entry := journal.Entry{
		Half: b.Half, Name: name, Kind: kind, Peer: connection.Peer.Name(), Source: source, Reason: reason,
		Received: received, Sent: sent, Duration: b.Clock.Since(connection.Session.Started()),
	}
	if len(connection.Peer.Roots) > 0 {
		entry.Root = connection.Peer.Roots[0]
	}
	b.Journal.Ended(entry)
}

// Source is where a connection comes from.
func Source(connection *net.TCPConn) netip.AddrPort {
	address, ok := connection.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	from := address.AddrPort()
	return netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}
