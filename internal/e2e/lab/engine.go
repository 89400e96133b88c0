// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"k8s.io/utils/clock"
)

// AnswerTimeout is how long a message waits for its acknowledgement.
const AnswerTimeout = 10 * time.Second

// caller is the client end of MLLP: one connection, one message at a time.
type caller struct {
	address    string
	clock      clock.PassiveClock
	connection net.Conn
	reader     *bufio.Reader
}

// call sends a message and waits for the answer. After an error the connection is gone, and the next call makes a new one.
func (c *caller) call(ctx context.Context, message []byte) ([]byte, error) {
	if c.connection == nil {
		connection, err := (&net.Dialer{Timeout: AnswerTimeout}).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return nil, err
		}
		c.connection, c.reader = connection, bufio.NewReader(connection)
	}
	answer, err := c.exchange(message)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return answer, nil
}

func (c *caller) exchange(message []byte) ([]byte, error) {
	if err := c.connection.SetDeadline(c.clock.Now().Add(AnswerTimeout)); err != nil {
		return nil, err
	}
	if err := WriteMessage(c.connection, message); err != nil {
		return nil, err
	}
	return ReadMessage(c.reader)
}

// send sends a message and says whether it was acknowledged.
func (c *caller) send(ctx context.Context, id string, message []byte) error {
	answer, err := c.call(ctx, message)
	if err != nil {
		return err
	}
	code, about, err := Acknowledged(answer)
	if err == nil && (code != "AA" || about != id) {
		err = fmt.Errorf("answer %q about %q", code, about)
	}
	if err != nil {
		return errors.Join(err, c.Close())
	}
	return nil
}

// Close closes the connection, if there is one.
func (c *caller) Close() error {
	if c.connection == nil {
		return nil
	}
	connection := c.connection
	c.connection = nil
	return connection.Close()
}

// Engine is an interface engine: it takes a message, passes it on, and answers with what it was answered. It knows no message of its own, so what
// it could not pass on is not acknowledged, and the sender tries again.
type Engine struct {
	// Upstream is where messages go: host and port.
	Upstream string
	// Clock is for deadlines.
	Clock clock.PassiveClock
}

// Session is for one connection, with one of its own to the upstream.
func (e Engine) Session() Session { return &passing{caller{address: e.Upstream, clock: e.Clock}} }

type passing struct{ caller }

// Handle passes a message on.
func (p *passing) Handle(ctx context.Context, message []byte) ([]byte, error) {
	return p.call(ctx, message)
}
