// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Limits of what a ledger remembers.
const (
	maxConnections = 1 << 17
	maxListeners   = 1024
	maxPeers       = 4096
	maxAddresses   = 256
	// keepListener is for how many polls a listener that is gone still explains rows: as long as a row stays in TIME_WAIT.
	keepListener = 60
	// keepConnection is for how many polls a connection that is in no table is remembered: a table that changes while it is read may miss one.
	keepConnection = 2
	// keepUnended is the same where an event will tell of the end.
	keepUnended = 600
	// settled is over how many polls the balance must hold: the sources are read one after the other, so that it wavers by what happens meanwhile.
	settled = 3
)

// observation is what one poll has read, in this order: the counter, the events, the tables.
type observation struct {
	now      time.Time
	passive  int64
	accepted int64
	events   []ended
	rows     []row
	dialed   []pair
}

// pair is a connection, by the end that accepted it and the end that opened it.
type pair struct {
	server, client netip.AddrPort
}

type listener struct {
	at   netip.AddrPort
	user uint32
	// seen is the poll that saw it last.
	seen int64
}

// connection is one that has been counted.
type connection struct {
	inode uint64
	// over: it has ended and a row in TIME_WAIT is what is left.
	over bool
	seen int64
}

// peerKey is a port of the application and an address that spoke to it.
type peerKey struct {
	port uint16
	from netip.Addr
}

type peer struct {
	count int64
	last  time.Time
}

// ledger accounts for every connection that the pod has accepted. It has no clock and reads nothing.
type ledger struct {
	// user is the one that airlock runs as: its listeners are no concern of anybody.
	user uint32
	// events: each end of a connection is told, so rows in TIME_WAIT and what airlock has dialed add nothing.
	events bool

	polls       int64
	listeners   map[uint16][]listener
	connections map[pair]*connection
	peers       map[peerKey]*peer
	// addresses are those of the pod.
	addresses map[netip.Addr]bool

	basePassive, baseAccepted int64
	known                     int64
	balances                  []int64
	unattributed              int64

	// forget takes the peers that there is no room for.
	forget func(peerKey, peer)
}

func newLedger(user uint32, events bool, forget func(peerKey, peer)) *ledger {
	return &ledger{
		user: user, events: events, forget: forget,
		listeners: map[uint16][]listener{}, connections: map[pair]*connection{}, peers: map[peerKey]*peer{},
		addresses: map[netip.Addr]bool{},
	}
}

// observe takes one poll in. The first one is what was there before: its peers count, its connections are no part of the balance.
func (l *ledger) observe(o observation) {
	l.polls++
	l.updateListeners(o.rows)
	for _, event := range o.events {
		if event.remote.Port() != 0 {
			l.end(event, o.now)
		}
	}
	for _, opened := range o.dialed {
		l.open(opened, 0)
	}
	for _, r := range o.rows {
		l.see(r, o.now)
	}
	for _, event := range o.events {
		if event.remote.Port() == 0 {
			l.reset(event, o.now)
		}
	}
	l.expire()
	if l.polls == 1 {
		l.basePassive, l.baseAccepted, l.known = o.passive, o.accepted, 0
	}
	l.settle(o)
}

// settle raises unattributed to what the last polls agree on.
func (l *ledger) settle(o observation) {
	balance := o.passive - l.basePassive - l.known - (o.accepted - l.baseAccepted)
	l.balances = append(l.balances, balance)
	if len(l.balances) > settled {
		l.balances = l.balances[1:]
	}
	if len(l.balances) == settled {
		l.unattributed = max(l.unattributed, slices.Min(l.balances))
	}
}

// updateListeners notes what listens now, and forgets what has not listened for long.
func (l *ledger) updateListeners(rows []row) {
	for _, r := range rows {
		if !r.local.Addr().IsUnspecified() && len(l.addresses) < maxAddresses {
			l.addresses[r.local.Addr()] = true
		}
		if r.state != listening {
			continue
		}
		port := r.local.Port()
		at := slices.IndexFunc(l.listeners[port], func(known listener) bool { return known.at == r.local })
		if at < 0 {
			if l.countListeners() >= maxListeners {
				continue
			}
			l.listeners[port] = append(l.listeners[port], listener{at: r.local})
			at = len(l.listeners[port]) - 1
		}
		l.listeners[port][at].user, l.listeners[port][at].seen = r.user, l.polls
	}
	for port, known := range l.listeners {
		kept := slices.DeleteFunc(known, func(one listener) bool { return l.polls-one.seen > keepListener })
		if len(kept) == 0 {
			delete(l.listeners, port)
		} else {
			l.listeners[port] = kept
		}
	}
}

func (l *ledger) countListeners() int {
	n := 0
	for _, known := range l.listeners {
		n += len(known)
	}
	return n
}

// listenerOf finds what has accepted a connection to an address: a listener on that address, or else one on all.
func (l *ledger) listenerOf(at netip.AddrPort) (listener, bool) {
	var best listener
	found := -1
	for _, known := range l.listeners[at.Port()] {
		score := 0
		switch {
		case known.at == at:
			score = 4
		case !known.at.Addr().IsUnspecified():
			continue
		case known.at.Addr().Is4() == at.Addr().Is4():
			score = 2
		case known.at.Addr().Is4():
			continue
		}
		if known.seen == l.polls {
			score++
		}
		if score > found {
			best, found = known, score
		}
	}
	return best, found >= 0
}

// end takes in that a socket has ended. Both ends of a connection within the pod are told; the one that accepted counts.
func (l *ledger) end(event ended, now time.Time) {
	by, found := l.listenerOf(event.local)
	if !found || by.user == l.user {
		return
	}
	key := pair{server: event.local, client: event.remote}
	if _, counted := l.connections[key]; counted {
		delete(l.connections, key)
		return
	}
	l.known++
	l.meet(key, by, now, true)
}

// reset takes in that the application has reset a connection, which leaves no port of the peer: it is one of that peer that was counted and has no row any
// more, or else one that nobody saw.
func (l *ledger) reset(event ended, now time.Time) {
	by, found := l.listenerOf(event.local)
	if !found || by.user == l.user {
		return
	}
	for key, known := range l.connections {
		if known.seen < l.polls && key.server.Port() == event.local.Port() && key.client.Addr() == event.remote.Addr() {
			delete(l.connections, key)
			return
		}
	}
	l.known++
	l.meet(pair{server: event.local, client: event.remote}, by, now, true)
}

// see takes one row in.
func (l *ledger) see(r row, now time.Time) {
	switch r.state {
	case listening, synSent, synReceived, newSyn, closed:
		return
	case timeWait:
		if l.events {
			return
		}
	}
	key, by, found := l.serverSide(r)
	if !found || by.user == l.user {
		return
	}
	inode := r.inode
	if r.local != key.server {
		inode = 0
	}
	if r.state == timeWait {
		l.meet(key, by, now, l.rest(key))
	} else {
		l.meet(key, by, now, l.open(key, inode))
	}
}

// serverSide finds which end of a row accepted. A row of the end that opened a connection within the pod says as much about it as the other one, and in
// TIME_WAIT it may be the only one.
func (l *ledger) serverSide(r row) (pair, listener, bool) {
	if by, found := l.listenerOf(r.local); found {
		return pair{server: r.local, client: r.remote}, by, true
	}
	if l.events || !l.within(r.remote.Addr()) {
		return pair{}, listener{}, false
	}
	by, found := l.listenerOf(r.remote)
	return pair{server: r.remote, client: r.local}, by, found
}

// open counts a connection unless it is one that is counted already. inode is that of the end that accepted; 0 if that is not known.
func (l *ledger) open(key pair, inode uint64) bool {
	known, counted := l.connections[key]
	if counted && !known.over && !l.replaced(known, inode) {
		known.seen = l.polls
		if inode != 0 {
			known.inode = inode
		}
		return false
	}
	if !counted && len(l.connections) >= maxConnections {
		// Counted when it ends, if somebody tells; else unattributed.
		return false
	}
	l.connections[key] = &connection{inode: inode, seen: l.polls}
	l.known++
	return true
}

// replaced says whether another connection has the addresses of one that is known. Where events tell of the end of the one before, they decide.
func (l *ledger) replaced(known *connection, inode uint64) bool {
	return !l.events && inode != 0 && known.inode != 0 && known.inode != inode
}

// rest takes in that a connection is over, and counts it if nobody saw it before.
func (l *ledger) rest(key pair) bool {
	known, counted := l.connections[key]
	if counted {
		known.over, known.seen = true, l.polls
		return false
	}
	if len(l.connections) >= maxConnections {
		return false
	}
	l.connections[key] = &connection{over: true, seen: l.polls}
	l.known++
	return true
}

func (l *ledger) expire() {
	keep := int64(keepConnection)
	if l.events {
		keep = keepUnended
	}
	for key, known := range l.connections {
		if l.polls-known.seen > keep {
			delete(l.connections, key)
		}
	}
}

// meet notes who is at the other end of a connection to the application.
func (l *ledger) meet(key pair, by listener, now time.Time, fresh bool) {
	if by.user == l.user || l.within(key.client.Addr()) {
		return
	}
	who := peerKey{port: key.server.Port(), from: key.client.Addr()}
	met := l.peers[who]
	if met == nil {
		if !fresh {
			return
		}
		if len(l.peers) >= maxPeers {
			l.dropOldest()
		}
		met = &peer{}
		l.peers[who] = met
	}
	if fresh {
		met.count++
	}
	met.last = now
}

// dropOldest makes room by a quarter.
func (l *ledger) dropOldest() {
	keys := make([]peerKey, 0, len(l.peers))
	for key := range l.peers {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b peerKey) int {
		return cmp.Or(l.peers[a].last.Compare(l.peers[b].last), a.from.Compare(b.from), cmp.Compare(a.port, b.port))
	})
	for _, key := range keys[:len(keys)/4] {
		l.forget(key, *l.peers[key])
		delete(l.peers, key)
	}
}

// within says whether an address is the pod itself.
func (l *ledger) within(address netip.Addr) bool { return address.IsLoopback() || l.addresses[address] }
