// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/airlock/witness"
	"github.com/labguard/labguard/internal/testutil/netns"
)

var configuration = &config.Configuration{
	Ports:      []config.Port{{Name: "mllp", Port: 2575, ListenPort: 15100, PlaintextPeers: []string{"10.9.0.40/32"}}},
	ProbePorts: []int{2575},
}

// start runs a Watcher on the namespace of the process. User 64000 is a process that no test starts, so airlock has no listeners here unless it is 0.
func start(t *testing.T, user int, events witness.Events) *witness.Watcher {
	t.Helper()
	w := witness.New(witness.Options{
		Net: os.DirFS("/proc/net"), Clock: clock.RealClock{}, UserID: user, Events: events, NodeAddresses: witness.ParseNodeAddresses("10.9.0.20, fd09::20"),
	})
	w.SetConfiguration(configuration)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

func subscribe(t *testing.T) witness.Events {
	t.Helper()
	events, err := witness.Subscribe()
	if err != nil {
		t.Skipf("skipped: this kernel does not tell of ended sockets: %v", err)
	}
	return events
}

// serve accepts connections and closes them once the client has, or first.
func serve(t *testing.T, address string, first bool) {
	t.Helper()
	at, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = at.Close() })
	go func() {
		for {
			accepted, err := at.Accept()
			if err != nil {
				return
			}
			go func() {
				if !first {
					_, _ = accepted.Read(make([]byte, 1))
				}
				_ = accepted.Close()
			}()
		}
	}()
}

// visit connects and ends the connection; reset: by a RST.
func visit(t *testing.T, from, to string, reset bool) {
	t.Helper()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if from != "" {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
	}
	connection, err := dialer.Dial("tcp", to)
	if errors.Is(err, syscall.ECONNRESET) {
		// The server was faster.
		return
	}
	if err != nil {
		t.Errorf("dial %s: %v", to, err)
		return
	}
	if reset {
		_ = connection.(*net.TCPConn).SetLinger(0)
	}
	_ = connection.Close()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("not within 20 s: %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// watch gives the balance time to settle, and says what is in it then.
func watch(t *testing.T, w *witness.Watcher) int64 {
	t.Helper()
	<-time.After(6 * witness.Interval)
	if err := w.Err(); err != nil {
		t.Errorf("Err: %v", err)
	}
	return w.Unattributed()
}

func port(t *testing.T, w *witness.Watcher) report.Port {
	t.Helper()
	ports := w.Ports()
	if len(ports) != 1 || ports[0].Port != 2575 {
		t.Fatalf("Ports() = %+v", ports)
	}
	return ports[0]
}

var pod, node = []string{"10.9.0.10/24", "fd09::10/64"}, []string{"10.9.0.20/24", "10.9.0.30/24", "10.9.0.40/24", "fd09::20/64", "fd09::30/64"}

// Connections that are far shorter than a poll, reset or closed by either side, over both families, all have a name.
func TestShortConnectionsHaveNames(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	other := netns.Connect(t, pod, node)
	w := start(t, 64000, subscribe(t))
	serve(t, ":2575", false)
	serve(t, "0.0.0.0:8080", true)
	resets, err := net.Listen("tcp", ":8081") //nolint:gosec // On all addresses of the namespace.
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resets.Close() }()
	go func() {
		for {
			accepted, err := resets.Accept()
			if err != nil {
				return
			}
			_ = accepted.(*net.TCPConn).SetLinger(0)
			_ = accepted.Close()
		}
	}()
	eventually(t, "the listener is seen", func() bool { return port(t, w).Listening == report.Node })
	if !w.WildcardListener(2575) || w.WildcardListener(2576) {
		t.Errorf("WildcardListener: %v %v", w.WildcardListener(2575), w.WildcardListener(2576))
	}
	other.Do(func() {
		for range 20 {
			visit(t, "10.9.0.30", "10.9.0.10:2575", true)
			visit(t, "fd09::30", "[fd09::10]:2575", false)
			visit(t, "10.9.0.20", "10.9.0.10:2575", true)
			visit(t, "10.9.0.40", "10.9.0.10:2575", false)
			visit(t, "10.9.0.30", "10.9.0.10:8080", false)
			visit(t, "10.9.0.30", "10.9.0.10:8081", false)
			visit(t, "fd09::30", "[fd09::10]:8081", false)
		}
	})
	for range 20 {
		visit(t, "", "127.0.0.1:2575", true)
		visit(t, "", "10.9.0.10:2575", false)
		visit(t, "", "[::1]:2575", false)
		visit(t, "", "10.9.0.10:8081", false)
	}
	// On a busy machine it looks seldom: first all have to be there, and then no more may come.
	eventually(t, "each has a name", func() bool {
		seen := port(t, w)
		return seen.Kubelet >= 20 && seen.Declared >= 20 && seen.UndeclaredTotal >= 40
	})
	if n := watch(t, w); n != 0 {
		t.Errorf("unattributed = %d", n)
	}
	seen := port(t, w)
	if seen.Kubelet != 20 || seen.Declared != 20 || seen.UndeclaredTotal != 40 || len(seen.Undeclared) != 2 {
		t.Errorf("seen %+v", seen)
	}
	declared := *configuration
	declared.Ports = []config.Port{{Port: 2575, PlaintextPeers: []string{"10.9.0.0/24", "fd09::/64"}}}
	w.SetConfiguration(&declared)
	if seen := port(t, w); seen.Kubelet != 20 || seen.Declared != 60 || seen.UndeclaredTotal != 0 || seen.Undeclared != nil {
		t.Errorf("seen once they are declared: %+v", seen)
	}
}

// What nobody tells of is unattributed: a connection that the client resets leaves no row. What leaves one has a name.
func TestWithoutEvents(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	other := netns.Connect(t, pod, node)
	w := start(t, 64000, nil)
	serve(t, ":2575", true)
	eventually(t, "the listener is seen", func() bool { return port(t, w).Listening == report.Node })
	for range 10 {
		visit(t, "", "127.0.0.1:2575", false)
		other.Do(func() {
			connection, err := net.Dial("tcp", "10.9.0.10:2575")
			if err != nil {
				t.Error(err)
				return
			}
			// The server closes first, as one that answers a probe over HTTP does.
			_, _ = connection.Read(make([]byte, 1))
			_ = connection.Close()
		})
	}
	if n := watch(t, w); n != 0 {
		t.Errorf("unattributed = %d", n)
	}
	if seen := port(t, w); seen.Kubelet != 10 || seen.UndeclaredTotal != 0 {
		t.Errorf("seen %+v", seen)
	}
	serve(t, ":2576", false)
	other.Do(func() {
		for range 20 {
			visit(t, "", "10.9.0.10:2576", true)
		}
	})
	if n := watch(t, w); n != 20 {
		t.Errorf("unattributed = %d, want 20", n)
	}
}

// With and without events, the connections of airlock itself are no concern: here everything is airlock's but for what it dials.
func TestOwnConnections(t *testing.T) {
	for name, withEvents := range map[string]bool{"Events": true, "Tables": false} {
		t.Run(name, func(t *testing.T) {
			if !netns.Enter(t) {
				return
			}
			other := netns.Connect(t, pod, node)
			var events witness.Events
			if withEvents {
				events = subscribe(t)
			}
			w := start(t, 0, events)
			at, err := net.Listen("tcp", "10.9.0.10:15100")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = at.Close() }()
			go func() {
				for {
					accepted, err := at.Accept()
					if err != nil {
						return
					}
					w.Accepted()
					_ = accepted.(*net.TCPConn).SetLinger(0)
					_ = accepted.Close()
				}
			}()
			<-time.After(2 * witness.Interval)
			other.Do(func() {
				for range 30 {
					visit(t, "10.9.0.30", "10.9.0.10:15100", true)
					visit(t, "10.9.0.20", "10.9.0.10:15100", false)
				}
			})
			if n := watch(t, w); n != 0 {
				t.Errorf("unattributed = %d", n)
			}
			if seen := port(t, w); seen.Listening != "" || seen.UndeclaredTotal != 0 || w.WildcardListener(15100) {
				t.Errorf("seen %+v", seen)
			}
		})
	}
}

// A connection that lasts is counted once, however often it is seen, and is as recent as the latest poll.
func TestLongConnection(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	other := netns.Connect(t, pod, node)
	var connection net.Conn
	serve(t, "10.9.0.10:2575", false)
	other.Do(func() {
		var err error
		if connection, err = net.Dial("tcp", "10.9.0.10:2575"); err != nil {
			t.Error(err)
		}
	})
	w := start(t, 64000, subscribe(t))
	eventually(t, "the peer is seen", func() bool { return port(t, w).Kubelet == 1 })
	if n := watch(t, w); n != 0 || w.WildcardListener(2575) {
		t.Errorf("unattributed = %d, wildcard %v", n, w.WildcardListener(2575))
	}
	_ = connection.Close()
	if n := watch(t, w); n != 0 {
		t.Errorf("unattributed = %d", n)
	}
	if seen := port(t, w); seen.Kubelet != 1 || seen.Listening != report.Node {
		t.Errorf("seen %+v", seen)
	}
}
