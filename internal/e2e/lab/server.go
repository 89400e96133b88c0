// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Process takes one message before it is acknowledged.
type Process func(ctx context.Context, controlID string) error

// Server is an information system that listens for MLLP.
type Server struct {
	// Process takes each message.
	Process Process

	mu      sync.Mutex
	idle    map[net.Conn]bool
	ending  bool
	running sync.WaitGroup
}

// Serve accepts connections until the context ends. Then it finishes the messages at hand, closes what is idle, and returns.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	s.idle = map[net.Conn]bool{}
	stop := context.AfterFunc(ctx, func() {
		_ = listener.Close()
		s.end()
	})
	defer stop()
	defer s.running.Wait()
	for {
		connection, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept: %w", err)
		}
		s.running.Go(func() { s.serve(context.WithoutCancel(ctx), connection) })
	}
}

// end closes the connections between two messages; the others close after theirs.
func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	for connection := range s.idle {
		_ = connection.SetReadDeadline(time.Unix(1, 0))
	}
}

// between marks a connection as idle, or says that the server is ending.
func (s *Server) between(connection net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle[connection] = true
	return !s.ending
}

func (s *Server) busy(connection net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.idle, connection)
	_ = connection.SetReadDeadline(time.Time{})
}

func (s *Server) serve(ctx context.Context, connection net.Conn) {
	defer func() {
		s.busy(connection)
		_ = connection.Close()
	}()
	reader := bufio.NewReader(connection)
	for s.between(connection) {
		if _, err := reader.Peek(1); err != nil {
			return
		}
		s.busy(connection)
		message, err := readFrame(reader)
		if err != nil {
			return
		}
		controlID, err := field(message, "MSH", 10)
		if err != nil || s.Process(ctx, controlID) != nil || writeFrame(connection, acknowledgement(controlID)) != nil {
			return
		}
	}
}

// Journal writes the control ID of every message that was processed on a line of its own.
func Journal(w io.Writer) Process {
	var mu sync.Mutex
	return func(_ context.Context, controlID string) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintln(w, controlID)
		return err
	}
}

// Forward hands each message on to another system and is done when that has acknowledged it. It keeps trying, as an interface engine does.
func Forward(target string) Process {
	var mu sync.Mutex
	upstream := &Connection{Target: target}
	return func(ctx context.Context, controlID string) error {
		mu.Lock()
		defer mu.Unlock()
		for {
			err := upstream.Send(ctx, controlID)
			if err == nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			pause(ctx)
		}
	}
}
