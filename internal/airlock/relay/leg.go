// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// ErrTruncated means that a peer ended its connection without the end of TLS: what it sent may lack its tail.
var ErrTruncated = errors.New("connection ended without the end of TLS")

// Leg is one of the two connections of a session.
type Leg struct {
	socket *socket
	tls    *tls.Conn
}

// Plain makes a leg of a TCP connection.
func Plain(connection *net.TCPConn) (*Leg, error) {
	socket, err := newSocket(connection)
	if err != nil {
		return nil, err
	}
	if err := connection.SetKeepAliveConfig(Keepalive); err != nil {
		return nil, fmt.Errorf("set keepalive: %w", err)
	}
	return &Leg{socket: socket}, nil
}

// Serve does the handshake of a server, Connect that of a client, until ctx ends. The connection stays open if it fails, for the caller to close.
func Serve(ctx context.Context, connection *net.TCPConn, configuration *tls.Config) (*Leg, error) {
	return handshake(ctx, connection, func(c net.Conn) *tls.Conn { return tls.Server(c, configuration) })
}

// Connect does the handshake of a client: see Serve.
func Connect(ctx context.Context, connection *net.TCPConn, configuration *tls.Config) (*Leg, error) {
	return handshake(ctx, connection, func(c net.Conn) *tls.Conn { return tls.Client(c, configuration) })
}

func handshake(ctx context.Context, connection *net.TCPConn, side func(net.Conn) *tls.Conn) (*Leg, error) {
	leg, err := Plain(connection)
	if err != nil {
		return nil, err
	}
	leg.tls = side(leg.socket)
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return nil, fmt.Errorf("set deadline: %w", err)
		}
	}
	// A handshake takes a deep stack, which a connection that lives for long would keep. Not HandshakeContext: the deadline is enough.
	done := make(chan error, 1)
	go func() { done <- leg.tls.Handshake() }() //nolint:noctx // See above.
	if err := <-done; err != nil {
		return nil, err
	}
	if err := connection.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("take deadline back: %w", err)
	}
	return leg, nil
}

// Conn is the leg as a net.Conn, for a server of the standard library. A leg that is used so cannot be part of a session.
func (l *Leg) Conn() net.Conn {
	if l.tls != nil {
		return l.tls
	}
	return l.socket.TCPConn
}

// Addresses are those of the connection, as net.Conn has them.
func (l *Leg) Addresses() (local, remote netip.AddrPort) {
	address := func(of net.Addr) netip.AddrPort {
		tcp, ok := of.(*net.TCPAddr)
		if !ok {
			return netip.AddrPort{}
		}
		return tcp.AddrPort()
	}
	return address(l.socket.LocalAddr()), address(l.socket.RemoteAddr())
}

// receive waits for bytes and returns them in a buffer of the pool, which the caller gives back. At the end it returns io.EOF.
func (l *Leg) receive() (*buffer, int, error) {
	if l.tls == nil {
		for {
			if taken, n, err := l.socket.receive(true); err != nil || taken != nil {
				return taken, n, err
			}
		}
	}
	l.socket.poll = true
	for {
		taken := takeBuffer(l.socket.wide)
		n, err := l.decrypt(taken.bytes)
		if n > 0 {
			return taken, n, nil
		}
		giveBuffer(taken)
		if !errors.Is(err, errWouldBlock) {
			return nil, 0, l.ending(err)
		}
		if err := l.socket.fill(true); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
	}
}

// decrypt reads records until there is no more for now, or the buffer is full. An error that comes after bytes comes again at the next call.
func (l *Leg) decrypt(into []byte) (int, error) {
	total := 0
	for total < len(into) {
		n, err := l.tls.Read(into[total:])
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// ending tells the end of TLS from the end of the connection under it, which crypto/tls takes for one.
func (l *Leg) ending(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || (errors.Is(err, io.EOF) && l.socket.ended) {
		return ErrTruncated
	}
	return err
}

func (l *Leg) send(p []byte) error {
	var err error
	switch {
	case l.tls == nil:
		_, err = l.socket.TCPConn.Write(p)
	case len(p) <= recordSize || !l.socket.gather():
		_, err = l.tls.Write(p)
	default:
		_, err = l.tls.Write(p)
		err = errors.Join(err, l.socket.flush())
	}
	return err
}

// closeWrite says that nothing more comes from here.
func (l *Leg) closeWrite() error {
	if l.tls != nil {
		if err := l.tls.CloseWrite(); err != nil {
			return err
		}
	}
	return l.socket.CloseWrite()
}

// interrupt wakes whoever waits in receive.
func (l *Leg) interrupt() error { return l.socket.SetReadDeadline(time.Unix(1, 0)) }

// Abort ends the leg at once; the other side sees a connection that broke.
func (l *Leg) Abort() { l.socket.abort() }

// Close closes the connection. With TLS its end is said before.
func (l *Leg) Close() {
	if l.tls != nil {
		// A peer that does not read is given up after five seconds, as crypto/tls does; the descriptor is closed below in any case.
		_ = l.tls.Close()
	}
	l.socket.close()
}
