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

	"k8s.io/utils/clock"

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
	// patience is how long it takes to believe that nobody is there for mutual TLS, between the time from one try to the next.
	patience = time.Second
	between  = 50 * time.Millisecond
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
		connection, err := h.dialSecure(upstream)
		if err == nil {
			return h.secure(connection, upstream, snapshot)
		}
		absent = dialReason(err)
	}
	if absent != NoSecureAddress && !nobody(absent) || !upstream.Fallback || upstream.Plain == "" {
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

// dialSecure tries for a moment before it believes that nobody is there: while pods are being replaced, the Service leads to one that no longer listens.
// Once it believes it, it tries once each time, until somebody is there again: short connections to an upstream without airlock are not to be slow.
func (h *Half) dialSecure(upstream config.Upstream) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		connection, err := dial(upstream.Secure)
		_, empty := h.empty.Load(upstream.Secure)
		switch {
		case err == nil:
			h.empty.Delete(upstream.Secure)
			return connection, nil
		case !nobody(dialReason(err)) || empty:
			return nil, err
		}
		timer := clock.RealClock{}.NewTimer(between)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			h.empty.Store(upstream.Secure, true)
			return nil, err
		}
	}
}

// nobody says whether a failure means that nobody is there, and not that somebody does not answer.
func nobody(reason trust.Reason) bool {
	return reason == UpstreamRefused || reason == UpstreamUnreachable
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
