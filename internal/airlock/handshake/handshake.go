// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/relay"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// Reasons of a handshake that fails beside those of package trust.
const (
	// Timeout means that the peer was too slow, Aborted that it went away, NotTLS that it sent something else, NoAgreement that the two sides have no version
	// or cipher in common or that one of them broke the protocol.
	Timeout     trust.Reason = "HandshakeTimeout"
	Aborted     trust.Reason = "HandshakeAborted"
	NotTLS      trust.Reason = "NotTLS"
	NoAgreement trust.Reason = "NoAgreement"
)

// secureSuites are the cipher suites of TLS 1.2 that are taken: ephemeral keys and authenticated encryption (RFC 9325, BCP 195). TLS 1.3 has no others.
func secureSuites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// judgement is one handshake. It lets go of the snapshot at its end: crypto/tls keeps the function for as long as the connection lives.
type judgement struct {
	decide func([]*x509.Certificate) (trust.Peer, error)
	peer   trust.Peer
	err    error
}

func (j *judgement) verify(state tls.ConnectionState) error {
	if j.decide == nil {
		return errors.New("a connection is judged once")
	}
	j.peer, j.err = j.decide(state.PeerCertificates)
	return j.err
}

// Serve does the handshake of a server with a peer that must be one of peers.
func Serve(
	ctx context.Context, connection *net.TCPConn, snapshot *material.Snapshot, peers []config.Peer, minTLS string, clock clock.PassiveClock,
) (*relay.Leg, trust.Peer, error) {
	source, _ := netip.ParseAddrPort(connection.RemoteAddr().String())
	one := &judgement{decide: func(certificates []*x509.Certificate) (trust.Peer, error) {
		return trust.Client(certificates, source.Addr(), peers, snapshot.Anchors, clock.Now())
	}}
	configuration, err := base(snapshot, minTLS, one, clock)
	if err != nil {
		return nil, trust.Peer{}, err
	}
	configuration.ClientAuth = tls.RequireAnyClientCert
	leg, err := relay.Serve(ctx, connection, configuration)
	return one.outcome(leg, err)
}

// Connect does the handshake of a client with a server that must be the one with this SPIFFE ID.
func Connect(
	ctx context.Context, connection *net.TCPConn, snapshot *material.Snapshot, id, minTLS string, clock clock.PassiveClock,
) (*relay.Leg, trust.Peer, error) {
	one := &judgement{decide: func(certificates []*x509.Certificate) (trust.Peer, error) {
		return trust.Server(certificates, id, snapshot.Anchors, clock.Now())
	}}
	configuration, err := base(snapshot, minTLS, one, clock)
	if err != nil {
		return nil, trust.Peer{}, err
	}
	// The server is known by its SPIFFE ID alone, never by a name of DNS: VerifyConnection looks at all of it.
	configuration.InsecureSkipVerify = true
	leg, err := relay.Connect(ctx, connection, configuration)
	return one.outcome(leg, err)
}

func base(snapshot *material.Snapshot, minTLS string, one *judgement, clock clock.PassiveClock) (*tls.Config, error) {
	if snapshot.Identity == nil {
		return nil, &trust.RefusedError{Reason: trust.NoIdentity}
	}
	configuration := &tls.Config{
		Certificates: []tls.Certificate{snapshot.Identity.Certificate}, MinVersion: tls.VersionTLS13, Time: clock.Now, VerifyConnection: one.verify,
		// A resumed connection would not be judged by what counts now (golang/go #77217).
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
	if minTLS == config.TLS12 {
		configuration.MinVersion, configuration.CipherSuites = tls.VersionTLS12, secureSuites()
	}
	return configuration, nil
}

func (j *judgement) outcome(leg *relay.Leg, err error) (*relay.Leg, trust.Peer, error) {
	j.decide = nil
	if err == nil {
		return leg, j.peer, nil
	}
	if j.err != nil {
		return nil, j.peer, j.err
	}
	return nil, trust.Peer{}, &trust.RefusedError{Reason: reason(err)}
}

// reason is the word for an error of crypto/tls.
func reason(err error) trust.Reason {
	var record tls.RecordHeaderError
	var operation *net.OpError
	switch {
	case errors.As(err, &record):
		return NotTLS
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.As(err, &operation) && operation.Op == "remote error":
		return relay.RefusedByPeer
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return Aborted
	// crypto/tls has no type for it.
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		return trust.NoCertificate
	default:
		return NoAgreement
	}
}

// Linger reads on for a moment, so that a peer which still sends learns why it was refused before its connection is reset.
func Linger(connection *net.TCPConn, until time.Time) {
	// The connection is given up whatever fails here.
	_ = connection.CloseWrite()
	_ = connection.SetReadDeadline(until)
	const most = 64 << 10
	_, _ = io.Copy(io.Discard, io.LimitReader(connection, most))
	_ = connection.Close()
}
