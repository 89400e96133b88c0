// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/handshake"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/relay"
	"github.com/labguard/labguard/internal/airlock/tally"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// Reasons why an upstream is not reached.
const (
	// UpstreamRefused means that nothing listens there, UpstreamUnreachable that there is no way, UpstreamTimeout that nothing answers, UpstreamFailed
	// everything else, NoSecureAddress that the upstream has no address for mutual TLS yet.
	UpstreamRefused     trust.Reason = "UpstreamRefused"
	UpstreamUnreachable trust.Reason = "UpstreamUnreachable"
	UpstreamTimeout     trust.Reason = "UpstreamTimeout"
	UpstreamFailed      trust.Reason = "UpstreamFailed"
	NoSecureAddress     trust.Reason = "NoSecureAddress"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
)

// target is the far end of a connection.
type target struct {
	leg  *relay.Leg
	peer trust.Peer
	kind string
}

// reach connects to an upstream. Plaintext is for upstreams that allow it, and only while nobody is there for mutual TLS.
func (h *Half) reach(upstream config.Upstream, snapshot *material.Snapshot) (target, error) {
	absent := NoSecureAddress
	if upstream.Secure != "" {
		connection, err := dial(upstream.Secure)
		if err == nil {
			return h.secure(connection, upstream, snapshot)
		}
		absent = dialReason(err)
	}
	nobody := absent == NoSecureAddress || absent == UpstreamRefused || absent == UpstreamUnreachable
	if !nobody || !upstream.Fallback || upstream.Plain == "" {
		return target{}, &trust.RefusedError{Reason: absent}
	}
	connection, err := dial(upstream.Plain)
	if err != nil {
		return target{}, &trust.RefusedError{Reason: dialReason(err)}
	}
	leg, err := relay.Plain(connection)
	if err != nil {
		return target{}, err
	}
	return target{leg: leg, kind: tally.Plaintext}, nil
}

func (h *Half) secure(connection *net.TCPConn, upstream config.Upstream, snapshot *material.Snapshot) (target, error) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	leg, peer, err := handshake.Connect(ctx, connection, snapshot, upstream.ID, upstream.MinTLSVersion, h.clock)
	if err != nil {
		return target{}, errors.Join(err, connection.Close())
	}
	return target{leg: leg, peer: peer, kind: tally.Secure}, nil
}

func dial(address string) (*net.TCPConn, error) {
	connection, err := (&net.Dialer{Timeout: dialTimeout}).Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	tcp, ok := connection.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(errors.New("is no TCP connection"), connection.Close())
	}
	return tcp, nil
}

func dialReason(err error) trust.Reason {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return UpstreamRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return UpstreamUnreachable
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return UpstreamTimeout
	default:
		return UpstreamFailed
	}
}
