// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	// answerTimeout is how long a sender waits for an acknowledgement before it sends again.
	answerTimeout = 30 * time.Second
	retryAfter    = 100 * time.Millisecond
)

// Connection is one connection to an MLLP server, made anew when it breaks.
type Connection struct {
	// Target is host and port.
	Target string

	connection net.Conn
	reader     *bufio.Reader
}

// Send sends one message and waits for its acknowledgement. After an error the connection is closed, and nobody knows whether the message was processed.
func (c *Connection) Send(ctx context.Context, controlID string) error {
	err := c.send(ctx, controlID)
	if err != nil {
		c.Close()
	}
	return err
}

func (c *Connection) send(ctx context.Context, controlID string) error {
	if c.connection == nil {
		dialer := net.Dialer{Timeout: dialTimeout}
		connection, err := dialer.DialContext(ctx, "tcp", c.Target)
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		c.connection, c.reader = connection, bufio.NewReader(connection)
	}
	deadline, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	stop := context.AfterFunc(deadline, func() { _ = c.connection.Close() })
	defer stop()
	if err := writeFrame(c.connection, Message(controlID)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	answer, err := readFrame(c.reader)
	if err != nil {
		return fmt.Errorf("wait for the acknowledgement: %w", err)
	}
	code, err := field(answer, "MSA", 1)
	if err != nil {
		return err
	}
	acknowledged, err := field(answer, "MSA", 2)
	if err != nil {
		return err
	}
	if code != "AA" || acknowledged != controlID {
		return fmt.Errorf("the acknowledgement of %s is %s of %s", controlID, code, acknowledged)
	}
	return nil
}

// Close closes the connection; the next Send opens a new one.
func (c *Connection) Close() {
	if c.connection != nil {
		_ = c.connection.Close()
		c.connection = nil
	}
}

// Stats are what a sender has counted.
type Stats struct {
	// Sent counts messages, Acknowledged those that came back, Again how often one was sent another time, Pending those under way.
	Sent         int64 `json:"sent"`
	Acknowledged int64 `json:"acknowledged"`
	Again        int64 `json:"again"`
	// LastError is the latest failure, in words.
	LastError string `json:"lastError,omitempty"`
	// SlowestMillis is the longest time from the first try to the acknowledgement.
	SlowestMillis int64 `json:"slowestMillis"`
	// Stopped says that no sender is at work any more.
	Stopped bool `json:"stopped"`
}

// Load sends messages over a number of connections, one after the other on each, and sends a message again until it is acknowledged.
type Load struct {
	// Name begins every control ID.
	Name string
	// Target is host and port; Connections how many are open; Every how long each waits between two messages.
	Target      string
	Connections int
	Every       time.Duration

	sent, acknowledged, again, slowest atomic.Int64
	lastError                          atomic.Value
	stopped                            atomic.Bool
}

// Run sends until the context ends, and then until every message that was begun is acknowledged.
func (l *Load) Run(ctx context.Context) {
	var running sync.WaitGroup
	for number := range l.Connections {
		running.Go(func() { l.sender(ctx, number) })
	}
	running.Wait()
	l.stopped.Store(true)
}

func (l *Load) sender(ctx context.Context, number int) {
	connection := &Connection{Target: l.Target}
	defer connection.Close()
	unending := context.WithoutCancel(ctx)
	for sequence := 0; ctx.Err() == nil; sequence++ {
		controlID := fmt.Sprintf("%s-%d-%d", l.Name, number, sequence)
		l.sent.Add(1)
		begun := clockNow()
		for {
			err := connection.Send(unending, controlID)
			if err == nil {
				break
			}
			l.lastError.Store(err.Error())
			l.again.Add(1)
			pause(unending)
		}
		l.acknowledged.Add(1)
		if took := clockNow().Sub(begun).Milliseconds(); took > l.slowest.Load() {
			l.slowest.Store(took)
		}
		wait(ctx, l.Every)
	}
}

// Stats is what was counted so far.
func (l *Load) Stats() Stats {
	failure, _ := l.lastError.Load().(string)
	return Stats{
		Sent: l.sent.Load(), Acknowledged: l.acknowledged.Load(), Again: l.again.Load(), LastError: failure,
		SlowestMillis: l.slowest.Load(), Stopped: l.stopped.Load(),
	}
}

// Answer gives what was counted, as JSON.
func Answer(stats func() Stats) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(stats())
	})
}
