// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// book is a ledger under test and the poll that comes next.
type book struct {
	*ledger
	o         observation
	forgotten int64
}

func newBook(events bool) *book {
	b := &book{o: observation{now: epoch, passive: 1000, accepted: 7}}
	b.ledger = newLedger(64000, events, func(_ peerKey, met peer) { b.forgotten += met.count })
	return b
}

func (b *book) poll(passive int64, rows ...row) {
	b.o.passive += passive
	b.o.now = b.o.now.Add(time.Second)
	b.o.rows = rows
	b.observe(b.o)
	b.o.events, b.o.dialed = nil, nil
}

// settle polls until the balance has settled.
func (b *book) settleOn(rows ...row) int64 {
	for range settled + 1 {
		b.poll(0, rows...)
	}
	return b.unattributed
}

func listens(at string, user uint32) row {
	return row{local: netip.MustParseAddrPort(at), state: listening, user: user}
}

func connected(local, remote string, st state, inode uint64) row {
	return row{local: netip.MustParseAddrPort(local), remote: netip.MustParseAddrPort(remote), state: st, inode: inode}
}

func (b *book) ends(remote string) {
	b.o.events = append(b.o.events, ended{local: netip.MustParseAddrPort(app), remote: netip.MustParseAddrPort(remote)})
}

// met checks how often somebody was met.
func (b *book) met(t *testing.T, want int64) {
	t.Helper()
	met := b.peers[peerKey{port: 2575, from: netip.MustParseAddrPort(someone).Addr()}]
	got := int64(0)
	if met != nil {
		got = met.count
	}
	if got != want {
		t.Errorf("met %d times, want %d", got, want)
	}
}

const (
	app, own = "10.9.0.10:2575", "10.9.0.10:15100"
	someone  = "10.9.0.30:4000"
)

var appListens, ownListens = listens("[::]:2575", 1000), listens("[::]:15100", 64000)

// What was there when airlock began is met, and no part of the balance.
func TestBaseline(t *testing.T) {
	for _, events := range []bool{true, false} {
		b := newBook(events)
		there := connected(app, someone, 1, 5)
		b.poll(0, appListens, there)
		if n := b.settleOn(appListens, there); n != 0 || b.known != 0 {
			t.Errorf("unattributed %d, known %d", n, b.known)
		}
		b.met(t, 1)
		b.ends(someone)
		if n := b.settleOn(appListens); n != 0 {
			t.Errorf("unattributed %d after its end", n)
		}
		b.met(t, 1)
	}
}

// The same addresses again are another connection, however close.
func TestAddressesAreUsedAgain(t *testing.T) {
	b := newBook(true)
	b.poll(0, appListens)
	b.poll(1, appListens, connected(app, someone, 1, 5))
	// It ends, two short ones follow, and a third that lasts.
	for range 3 {
		b.ends(someone)
	}
	b.poll(3, appListens, connected(app, someone, 1, 9))
	if n := b.settleOn(appListens, connected(app, someone, 1, 9)); n != 0 || b.known != 4 {
		t.Errorf("unattributed %d, known %d", n, b.known)
	}
	b.met(t, 4)
}

func TestAddressesAreUsedAgainWithoutEvents(t *testing.T) {
	b := newBook(false)
	b.poll(0, appListens)
	b.poll(1, appListens, connected(app, someone, 1, 5))
	b.poll(1, appListens, connected(app, someone, 1, 6))
	b.poll(0, appListens, connected(app, someone, timeWait, 0))
	b.poll(1, appListens, connected(app, someone, 1, 7))
	if n := b.settleOn(appListens, connected(app, someone, 1, 7)); n != 0 || b.known != 3 {
		t.Errorf("unattributed %d, known %d", n, b.known)
	}
}

// A row that a poll missed because the table changed while it was read is the same connection at the next one.
func TestMissedRow(t *testing.T) {
	for _, events := range []bool{true, false} {
		b := newBook(events)
		b.poll(0, appListens)
		for range 5 {
			b.poll(0, appListens, connected(app, someone, 1, 5))
			b.poll(0, appListens)
		}
		if b.known != 1 {
			t.Errorf("known %d", b.known)
		}
	}
}

// Connections within the pod: both ends are rows, and in TIME_WAIT only that of the client may be left.
func TestWithinThePod(t *testing.T) {
	b := newBook(false)
	b.poll(0, appListens)
	both := []row{appListens, connected("127.0.0.1:2575", "127.0.0.1:4000", 1, 5), connected("127.0.0.1:4000", "127.0.0.1:2575", 1, 6)}
	b.poll(1, both...)
	b.poll(0, both...)
	b.poll(1, appListens, connected("127.0.0.1:4000", "127.0.0.1:2575", timeWait, 0), connected("127.0.0.1:4001", "127.0.0.1:2575", timeWait, 0))
	if n := b.settleOn(appListens); n != 0 || b.known != 2 || len(b.peers) != 0 {
		t.Errorf("unattributed %d, known %d, peers %v", n, b.known, b.peers)
	}
}

// Airlock tells of its own: what it accepted by a number, what it dialed by the addresses, so that a row of it is not counted again.
func TestOwnWithoutEvents(t *testing.T) {
	b := newBook(false)
	b.poll(0, appListens, ownListens)
	b.o.accepted += 5
	b.o.dialed = []pair{
		{server: netip.MustParseAddrPort("127.0.0.1:2575"), client: netip.MustParseAddrPort("127.0.0.1:4000")},
		{server: netip.MustParseAddrPort("127.0.0.1:2575"), client: netip.MustParseAddrPort("127.0.0.1:4001")},
	}
	b.poll(7, appListens, ownListens, connected("127.0.0.1:2575", "127.0.0.1:4000", 1, 5), connected(own, someone, 1, 8))
	if n := b.settleOn(appListens, ownListens); n != 0 || b.known != 2 || len(b.peers) != 0 {
		t.Errorf("unattributed %d, known %d, peers %v", n, b.known, b.peers)
	}
}

// The application resets connections: an event has the address of the peer and no port of it.
func TestResetByTheApplication(t *testing.T) {
	b := newBook(true)
	other := connected(app, "10.9.0.30:4001", 1, 6)
	b.poll(0, appListens)
	b.poll(2, appListens, connected(app, someone, 1, 5), other)
	b.ends("10.9.0.30:0")
	b.poll(0, appListens, other)
	if b.known != 2 || len(b.connections) != 1 {
		t.Errorf("known %d, %d connections", b.known, len(b.connections))
	}
	// A short one beside one that lasts.
	b.ends("10.9.0.30:0")
	b.poll(1, appListens, other)
	if n := b.settleOn(appListens, other); n != 0 || b.known != 3 {
		t.Errorf("unattributed %d, known %d", n, b.known)
	}
	b.met(t, 3)
}

// What nobody saw is unattributed, and stays so.
func TestUnattributed(t *testing.T) {
	for _, events := range []bool{true, false} {
		b := newBook(events)
		b.poll(0, appListens)
		b.poll(20, appListens)
		if n := b.settleOn(appListens); n != 20 {
			t.Errorf("unattributed %d, want 20", n)
		}
		b.poll(1, appListens, connected(app, someone, 1, 5))
		if n := b.settleOn(appListens); n != 20 {
			t.Errorf("unattributed %d, want 20", n)
		}
	}
}

// The counter is read before the tables: what comes in between wavers, and is no finding.
func TestWavering(t *testing.T) {
	b := newBook(true)
	b.poll(0, appListens)
	for i := range 50 {
		at := fmt.Sprintf("10.9.0.30:%d", 5000+i)
		if i%2 == 0 {
			b.poll(1, appListens)
			b.ends(at)
			b.poll(0, appListens)
		} else {
			b.poll(0, appListens, connected(app, at, 1, 5))
			b.ends(at)
			b.poll(1, appListens)
		}
	}
	if n := b.settleOn(appListens); n != 0 || b.known != 50 {
		t.Errorf("unattributed %d, known %d", n, b.known)
	}
}

// A listener on one address is the one that took a connection to it, and not the one on all addresses.
func TestListenerOf(t *testing.T) {
	b := newBook(true)
	b.poll(0, listens("[::]:2575", 1000), listens("127.0.64.1:2575", 64000), listens("0.0.0.0:104", 1000), listens("10.9.0.10:80", 1000))
	for at, want := range map[string]uint32{"127.0.64.1:2575": 64000, "127.0.64.2:2575": 1000, "[fd09::10]:2575": 1000, "10.9.0.10:104": 1000} {
		if by, found := b.listenerOf(netip.MustParseAddrPort(at)); !found || by.user != want {
			t.Errorf("%s: %+v, %v", at, by, found)
		}
	}
	for _, at := range []string{"[fd09::10]:104", "10.9.0.11:80", "10.9.0.10:81"} {
		if by, found := b.listenerOf(netip.MustParseAddrPort(at)); found {
			t.Errorf("%s: %+v", at, by)
		}
	}
}

// A listener that is gone explains the ends of its connections for as long as there are any.
func TestListenerIsRemembered(t *testing.T) {
	b := newBook(true)
	b.poll(0, appListens)
	b.poll(1)
	b.ends(someone)
	b.poll(0)
	b.met(t, 1)
	for range keepListener + 1 {
		b.poll(0)
	}
	if len(b.listeners) != 0 {
		t.Errorf("listeners %v", b.listeners)
	}
}

// However many peers there are, memory stays bounded and no connection is lost from the sum.
func TestPeersAreBounded(t *testing.T) {
	b := newBook(true)
	b.poll(0, appListens)
	const many = 3 * maxPeers
	for i := range many {
		b.ends(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 4000).String())
	}
	b.poll(many, appListens)
	sum := b.forgotten
	for _, met := range b.peers {
		sum += met.count
	}
	if len(b.peers) > maxPeers || sum != many {
		t.Errorf("%d peers, %d connections", len(b.peers), sum)
	}
	for i := range 2 * maxListeners {
		b.poll(0, listens(fmt.Sprintf("0.0.0.0:%d", 1000+i), 1000))
		if n := b.countListeners(); n > maxListeners {
			t.Fatalf("%d listeners", n)
		}
	}
}
