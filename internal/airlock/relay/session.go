// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/utils/clock"
)

// Ends of a session, one word each.
const (
	// Closed is the good end: both sides have said that they are done.
	Closed = "Closed"
	// Truncated means that a peer left without the end of TLS, Reset that a connection broke, RefusedByPeer that the other side of TLS refused us, Protocol
	// that it sent what is no TLS, Failed everything else.
	Truncated     = "Truncated"
	Reset         = "Reset"
	RefusedByPeer = "RefusedByPeer"
	Protocol      = "Protocol"
	Failed        = "Failed"
)

// Session is two legs: the initiator, which is the client's, and the responder, which is the server's.
type Session struct {
	initiator, responder *Leg
	clock                clock.PassiveClock
	// last is when the last byte went through, finishing when Finish was called, halfClosed when the first side was done; in nanoseconds, 0: never.
	last, finishing, halfClosed atomic.Int64
	forward, backward           atomic.Int64
	why                         atomic.Pointer[string]
	started                     time.Time
}

// New makes a session of two legs.
func New(initiator, responder *Leg, clock clock.PassiveClock) *Session {
	session := &Session{initiator: initiator, responder: responder, clock: clock, started: clock.Now()}
	session.touch()
	return session
}

func (s *Session) touch() { s.last.Store(s.clock.Now().UnixNano()) }

// Started is when the session was made, LastByte when the last byte went through.
func (s *Session) Started() time.Time { return s.started }

// LastByte is when the last byte went through.
func (s *Session) LastByte() time.Time { return time.Unix(0, s.last.Load()) }

// Finishing is when Finish was called; zero: not yet.
func (s *Session) Finishing() time.Time { return instant(&s.finishing) }

// HalfClosed is when the first of the two sides was done; zero: not yet.
func (s *Session) HalfClosed() time.Time { return instant(&s.halfClosed) }

func instant(at *atomic.Int64) time.Time {
	if nanoseconds := at.Load(); nanoseconds != 0 {
		return time.Unix(0, nanoseconds)
	}
	return time.Time{}
}

// Bytes says how many went from the initiator to the responder, and back.
func (s *Session) Bytes() (forward, backward int64) { return s.forward.Load(), s.backward.Load() }

// Start carries bytes until both directions are done and both legs are closed, and then calls ended with the word for why. It returns at once. Each direction
// has a goroutine of its own that begins here: a silent connection costs two shallow stacks and nothing of what was called before it.
func (s *Session) Start(ended func(reason string)) {
	var left atomic.Int32
	left.Store(2)
	direction := func(from, to *Leg, count *atomic.Int64) {
		s.carry(from, to, count)
		if left.Add(-1) > 0 {
			return
		}
		s.because(Closed)
		s.initiator.Close()
		s.responder.Close()
		ended(*s.why.Load())
	}
	go direction(s.initiator, s.responder, &s.forward)
	go direction(s.responder, s.initiator, &s.backward)
}

// Abort ends the session at once. The first reason stands.
func (s *Session) Abort(reason string) {
	s.because(reason)
	s.initiator.Abort()
	s.responder.Abort()
}

// Finish ends the session in good order. The responder is told first that nothing more comes: what the initiator sends from here on reaches no
// application, so that it can safely be sent again over another connection.
func (s *Session) Finish(reason string) {
	if s.finishing.CompareAndSwap(0, s.clock.Now().UnixNano()) {
		s.because(reason)
		if err := s.initiator.interrupt(); err != nil {
			s.Abort(reason)
		}
	}
}

func (s *Session) because(reason string) { s.why.CompareAndSwap(nil, &reason) }

// carry copies one direction.
func (s *Session) carry(from, to *Leg, count *atomic.Int64) {
	defer from.socket.release()
	for {
		taken, n, err := from.receive()
		if err == nil {
			s.touch()
			err = to.send(taken.bytes[:n])
			giveBuffer(taken)
			count.Add(int64(n))
			if err == nil {
				continue
			}
		}
		if !errors.Is(err, io.EOF) && !s.interrupted(from, err) {
			s.Abort(word(err))
			return
		}
		s.halfClosed.CompareAndSwap(0, s.clock.Now().UnixNano())
		if err := to.closeWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
			s.Abort(word(err))
		}
		return
	}
}

// interrupted says that from was woken by Finish.
func (s *Session) interrupted(from *Leg, err error) bool {
	return from == s.initiator && s.finishing.Load() != 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// word is the end that an error means.
func word(err error) string {
	var operation *net.OpError
	var record tls.RecordHeaderError
	switch {
	case errors.Is(err, ErrTruncated):
		return Truncated
	case errors.As(err, &operation) && operation.Op == "remote error":
		return RefusedByPeer
	case errors.As(err, &record), errors.As(err, &operation) && operation.Op == "local error":
		return Protocol
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ETIMEDOUT):
		return Reset
	default:
		return Failed
	}
}
