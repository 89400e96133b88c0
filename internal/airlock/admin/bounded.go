// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/inbound"
)

// probes is how many connections the port for the kubelet has at most. The kubelet has one.
const probes = 32

// Bounded is a listener of TCP with few connections. Who comes while there are too many takes the place of the oldest that is more than a second old, so that nobody
// who holds connections open keeps the kubelet out.
func Bounded(listener net.Listener, clock clock.WithTicker) net.Listener {
	return bounded{Listener: listener, gate: inbound.NewGate(probes, clock)}
}

type bounded struct {
	net.Listener
	gate *inbound.Gate
}

// Accept is of net.Listener.
func (b bounded) Accept() (net.Conn, error) {
	connection, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	stream, ok := connection.(*net.TCPConn)
	if !ok {
		return connection, nil
	}
	ticket := b.gate.Enter(stream)
	return &place{Conn: stream, free: func() { ticket.Leave() }}, nil
}
