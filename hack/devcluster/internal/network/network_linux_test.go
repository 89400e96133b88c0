// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

func newNetwork(t *testing.T) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root makes network namespaces")
	}
	n, err := New("172.30.0.1", "10.96.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// freeAddress is one that nothing listens at, inside or outside.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func TestNetworkIsApartAndRelaysReachIntoIt(t *testing.T) {
	n, address := newNetwork(t), freeAddress(t)
	listener, err := n.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	// It answers once the client has said all that it has to say.
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		said, _ := io.ReadAll(conn)
		_, _ = io.WriteString(conn, strings.ToUpper(string(said)))
		_ = conn.Close()
	}()
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
		_ = conn.Close()
		t.Fatal("what listens inside is reached from outside without a relay")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := n.Relay(ctx, address); err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("got a %T", conn)
	}
	if _, err := io.WriteString(tcp, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(tcp); err != nil || string(answer) != "HELLO" {
		t.Errorf("got %q, %v", answer, err)
	}
}

func TestNodeHasItsAddressInside(t *testing.T) {
	n := newNetwork(t)
	listener, err := n.Listen(t.Context(), "172.30.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(n.Path); err != nil {
		t.Errorf("the namespace has no name: %v", err)
	}
}

func TestServicesHaveARouteFromTheNode(t *testing.T) {
	n := newNetwork(t)
	// UDP sends nothing yet: only the route is asked for, and which address of the
	// node it begins at.
	err := n.Thread.Do(func() error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "udp", "10.96.12.34:443")
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if from, _, err := net.SplitHostPort(conn.LocalAddr().String()); err != nil || from != "172.30.0.1" {
			t.Errorf("it begins at %s, %v", from, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
