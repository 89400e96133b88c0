// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package listening

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// retryEvery is how often a listener that could not be opened is tried again, acceptAgain how long a failed accept is waited after: mostly there are no
// descriptors left.
const (
	retryEvery  = time.Second
	acceptAgain = 50 * time.Millisecond
)

// Wanted is one listener.
type Wanted struct {
	// Address has a port; an address that is zero is all addresses.
	Address netip.AddrPort
	// Name is what it is for, in errors.
	Name string
}

// Set has the listeners.
type Set struct {
	clock clock.WithTicker
	// accept gets each connection and must return soon; blocked says why an address must not be bound now, "" if it may be.
	accept  func(at netip.AddrPort, connection *net.TCPConn)
	blocked func(netip.AddrPort) string

	mutex  sync.Mutex
	wanted map[netip.AddrPort]string
	open   map[netip.AddrPort]*net.TCPListener
	errors map[netip.AddrPort]string
	closed bool
}

// NewSet makes an empty set. Blocked may be nil.
func NewSet(clock clock.WithTicker, accept func(netip.AddrPort, *net.TCPConn), blocked func(netip.AddrPort) string) *Set {
	if blocked == nil {
		blocked = func(netip.AddrPort) string { return "" }
	}
	return &Set{
		clock: clock, accept: accept, blocked: blocked,
		wanted: map[netip.AddrPort]string{}, open: map[netip.AddrPort]*net.TCPListener{}, errors: map[netip.AddrPort]string{},
	}
}

// Apply opens and closes what differs from what is wanted.
func (s *Set) Apply(wanted []Wanted) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.wanted = map[netip.AddrPort]string{}
	for _, one := range wanted {
		s.wanted[one.Address] = one.Name
	}
	for address, listener := range s.open {
		if _, still := s.wanted[address]; !still {
			// The listener is gone either way.
			_ = listener.Close()
			delete(s.open, address)
		}
	}
	maps.DeleteFunc(s.errors, func(address netip.AddrPort, _ string) bool { _, still := s.wanted[address]; return !still })
	s.openMissing()
}

func (s *Set) openMissing() {
	if s.closed {
		return
	}
	for address, name := range s.wanted {
		if s.open[address] != nil {
			continue
		}
		listener, err := s.listen(address)
		if err != nil {
			s.errors[address] = fmt.Sprintf("%s: listen on %s: %v", name, text(address), err)
			continue
		}
		delete(s.errors, address)
		s.open[address] = listener
		go s.serve(address, listener)
	}
}

func text(address netip.AddrPort) string {
	if !address.Addr().IsValid() {
		return fmt.Sprintf(":%d", address.Port())
	}
	return address.String()
}

func (s *Set) listen(address netip.AddrPort) (*net.TCPListener, error) {
	if reason := s.blocked(address); reason != "" {
		return nil, errors.New(reason)
	}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: address.Addr().AsSlice(), Port: int(address.Port())})
	// What remains of the error is the word of the kernel: the address is in the text around it.
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	return listener, err
}

func (s *Set) serve(address netip.AddrPort, listener *net.TCPListener) {
	for {
		connection, err := listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			timer := s.clock.NewTimer(acceptAgain)
			<-timer.C()
			continue
		}
		s.accept(address, connection)
	}
}

// Run tries again what could not be opened, until ctx ends.
func (s *Set) Run(ctx context.Context) {
	ticker := s.clock.NewTicker(retryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			s.mutex.Lock()
			s.openMissing()
			s.mutex.Unlock()
		}
	}
}

// Errors says which listeners are wanted and not open, sorted.
func (s *Set) Errors() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Sorted(maps.Values(s.errors))
}

// Close closes all listeners for good. Connections stay.
func (s *Set) Close() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.closed = true
	for address, listener := range s.open {
		_ = listener.Close()
		delete(s.open, address)
	}
}
