// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package handshake_test

import (
	"net"
	"testing"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/handshake"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/trust"
	"github.com/labguard/labguard/internal/testutil/pki"
)

const (
	serverID = "spiffe://lab.example/ns/pathology/labworkload/lis"
	clientID = "spiffe://lab.example/ns/pathology/labworkload/engine"
)

// BenchmarkHandshake is a whole handshake of both halves over loopback, one after the other: one operation is a connection of TCP, the handshake and the
// judgement of both sides.
func BenchmarkHandshake(b *testing.B) {
	root := pki.NewAuthority(b, "lab")
	server, client := snapshot(b, root, serverID), snapshot(b, root, clientID)
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	served := make(chan error)
	go func() {
		for {
			connection, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			leg, _, err := handshake.Serve(b.Context(), connection, server, []config.Peer{{ID: clientID}}, config.TLS13, clock.RealClock{})
			if err == nil {
				leg.Abort()
			}
			served <- err
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		connection, err := net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr))
		if err != nil {
			b.Fatal(err)
		}
		leg, peer, err := handshake.Connect(b.Context(), connection, client, serverID, config.TLS13, clock.RealClock{})
		if err != nil {
			b.Fatal(err)
		}
		if peer.ID != serverID {
			b.Fatalf("the peer is %q", peer.ID)
		}
		if err := <-served; err != nil {
			b.Fatal(err)
		}
		leg.Abort()
	}
}

func snapshot(b testing.TB, root *pki.Authority, id string) *material.Snapshot {
	b.Helper()
	issued := root.Issue(pki.Leaf{URIs: []string{id}})
	certificate := issued.TLS(b)
	bundle, err := trust.ParseBundle(root.PEM())
	if err != nil {
		b.Fatal(err)
	}
	return &material.Snapshot{
		Identity: &trust.Identity{Certificate: certificate},
		Anchors:  &trust.Anchors{Domain: "lab.example", Bundles: map[string]*trust.Bundle{"lab.example": bundle}},
	}
}
