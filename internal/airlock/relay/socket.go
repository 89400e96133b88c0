// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Keepalive finds peers that are gone without a word, and keeps the entries of firewalls alive that forget a silent connection.
var Keepalive = net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 8}

// wouldBlockError says that there is nothing to read now. It is a temporary net.Error, after which crypto/tls reads on where it was.
type wouldBlockError struct{}

func (wouldBlockError) Error() string { return "nothing to read now" }

// Timeout is of net.Error.
func (wouldBlockError) Timeout() bool { return true }

// Temporary is of net.Error.
func (wouldBlockError) Temporary() bool { return true }

var errWouldBlock net.Error = wouldBlockError{}

// socket is a TCP connection that can be read without waiting. One goroutine reads it, another one writes.
type socket struct {
	*net.TCPConn
	raw syscall.RawConn
	// poll turns Read from a call that waits into one that does not.
	poll bool
	// ahead has bytes that were read and not yet asked for, from is where they begin.
	ahead    *buffer
	from, to int
	// wide says that the last read left something behind, or was more than a record.
	wide bool
	// writing guards gathered, which has what crypto/tls writes until flush; nil: it goes out at once.
	writing  sync.Mutex
	gathered *buffer
	// drained says that the last read left nothing behind, ended that the other side has sent its end.
	drained, ended bool
	closing        sync.Once
}

func newSocket(connection *net.TCPConn) (*socket, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("look into connection: %w", err)
	}
	return &socket{TCPConn: connection, raw: raw}, nil
}

// Read is for crypto/tls. It first gives what was read ahead.
func (s *socket) Read(p []byte) (int, error) {
	switch {
	case s.ahead != nil:
	case !s.poll:
		n, err := s.TCPConn.Read(p)
		s.ended = s.ended || errors.Is(err, io.EOF)
		return n, err
	case s.ended:
		return 0, io.EOF
	case s.drained:
		return 0, errWouldBlock
	default:
		if err := s.fill(false); err != nil {
			return 0, err
		}
	}
	if s.ahead == nil {
		return 0, errWouldBlock
	}
	n := copy(p, s.ahead.bytes[s.from:s.to])
	if s.from += n; s.from == s.to {
		giveBuffer(s.ahead)
		s.ahead = nil
	}
	return n, nil
}

// fill reads ahead. With wait it returns once there is something.
func (s *socket) fill(wait bool) error {
	if s.ahead != nil {
		return nil
	}
	taken, n, err := s.receive(wait)
	if err != nil || taken == nil {
		return err
	}
	s.ahead, s.from, s.to = taken, 0, n
	return nil
}

// receive reads into a buffer of the pool, which is taken only for as long as there is something to read. It returns nil if there is nothing and it is not
// to wait.
func (s *socket) receive(wait bool) (taken *buffer, n int, err error) {
	var failure error
	size := 0
	waited := s.raw.Read(func(descriptor uintptr) bool {
		taken = takeBuffer(s.wide)
		size = len(taken.bytes)
		for {
			n, failure = syscall.Read(int(descriptor), taken.bytes)
			if !errors.Is(failure, syscall.EINTR) {
				break
			}
		}
		if failure == nil && n > 0 {
			return true
		}
		giveBuffer(taken)
		taken = nil
		return !errors.Is(failure, syscall.EAGAIN) || !wait
	})
	s.drained = n < size
	s.wide = n == size || n > recordSize
	switch {
	case waited != nil:
		if taken != nil {
			giveBuffer(taken)
		}
		return nil, 0, waited
	case errors.Is(failure, syscall.EAGAIN):
		return nil, 0, nil
	case failure != nil:
		return nil, 0, os.NewSyscallError("read", failure)
	case n == 0:
		s.ended = true
		return nil, 0, io.EOF
	}
	return taken, n, nil
}

// Write is for crypto/tls, which calls it for each record.
func (s *socket) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.gathered == nil {
		return s.TCPConn.Write(p)
	}
	if len(s.gathered.bytes)+len(p) > cap(s.gathered.bytes) {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(s.gathered.bytes) {
		return s.TCPConn.Write(p)
	}
	s.gathered.bytes = append(s.gathered.bytes, p...)
	return len(p), nil
}

// gather holds back what is written until flush, so that several records go out in one call. It is false if there is no buffer for it.
func (s *socket) gather() bool {
	taken := takeBuffer(true)
	if !taken.wide {
		giveBuffer(taken)
		return false
	}
	taken.bytes = taken.bytes[:0]
	s.writing.Lock()
	defer s.writing.Unlock()
	s.gathered = taken
	return true
}

// flush writes what was held back.
func (s *socket) flush() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	err := s.spill()
	s.gathered.bytes = s.gathered.bytes[:wideSize]
	giveBuffer(s.gathered)
	s.gathered = nil
	return err
}

func (s *socket) spill() error {
	_, err := s.TCPConn.Write(s.gathered.bytes)
	s.gathered.bytes = s.gathered.bytes[:0]
	return err
}

// release gives back what was read ahead. Only the goroutine that reads may call it.
func (s *socket) release() {
	if s.ahead != nil {
		giveBuffer(s.ahead)
		s.ahead = nil
	}
}

// abort closes the connection so that the other side sees that it is broken and not at its end.
func (s *socket) abort() {
	s.closing.Do(func() {
		// The error is of a connection that is closed already.
		_ = s.SetLinger(0)
		_ = s.Close()
	})
}

func (s *socket) close() { s.closing.Do(func() { _ = s.Close() }) }
