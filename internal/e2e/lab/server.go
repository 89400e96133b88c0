// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Session answers the messages of one connection.
type Session interface {
	// Handle gives the answer to a message. An error closes the connection without one.
	Handle(ctx context.Context, message []byte) ([]byte, error)
	Close() error
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Serve takes MLLP connections until the context ends. Then it accepts none, closes those that are between two messages, finishes the message at hand on
// the others, and returns when all of them are closed.
func Serve(ctx context.Context, at net.Listener, open func() Session) error {
	s := server{connections: map[*served]struct{}{}}
	stop := context.AfterFunc(ctx, func() {
		_ = at.Close()
		s.drain()
	})
	defer stop()
	// A message at hand is answered although the context has ended.
	working := context.WithoutCancel(ctx)
	for {
		accepted, err := at.Accept()
		if err != nil {
			s.group.Wait()
			if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		s.group.Go(func() { s.serve(working, accepted, open()) })
	}
}

type server struct {
	group       sync.WaitGroup
	mutex       sync.Mutex
	draining    bool
	connections map[*served]struct{}
}

// served is a connection; busy: a message has begun.
type served struct {
	net.Conn
	busy bool
}

func (s *server) drain() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.draining = true
	for one := range s.connections {
		if !one.busy {
			_ = one.SetReadDeadline(past)
		}
	}
}

// rest says that a connection waits for a message, and whether it may.
func (s *server) rest(one *served) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	one.busy = false
	s.connections[one] = struct{}{}
	return !s.draining
}

func (s *server) begin(one *served) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	one.busy = true
	return one.SetReadDeadline(time.Time{})
}

func (s *server) serve(ctx context.Context, accepted net.Conn, session Session) {
	one := &served{Conn: accepted}
	defer func() {
		s.mutex.Lock()
		delete(s.connections, one)
		s.mutex.Unlock()
		_ = accepted.Close()
		_ = session.Close()
	}()
	reader := bufio.NewReader(accepted)
	for s.rest(one) {
		if _, err := reader.Peek(1); err != nil || s.begin(one) != nil {
			return
		}
		message, err := ReadMessage(reader)
		if err != nil {
			return
		}
		answer, err := session.Handle(ctx, message)
		if err != nil || WriteMessage(accepted, answer) != nil {
			return
		}
	}
}
