// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/sidecar"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// TestRotationStorm renews the certificates of both sides twenty times a second, adds and removes a second root and rewrites the configuration, while
// connections that stand talk and new ones come. Nothing may fail.
func TestRotationStorm(t *testing.T) {
	const (
		lasts   = 6 * time.Second
		storm   = 50 * time.Millisecond
		talkers = 40
	)
	root, second := pki.NewAuthority(t, "lab"), pki.NewAuthority(t, "second")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	engine := clientPod(t, root, server.secure())
	engine.start()
	var messages, dials atomic.Int64
	over := make(chan struct{})
	var all sync.WaitGroup
	talk := func(connection net.Conn, n int) error {
		message := fmt.Sprintf("\x0bMSH|^~\\&|%d|%s\x1c\r", n, strings.Repeat("x", n%3000))
		messages.Add(1)
		return say(connection, message)
	}
	for i := range talkers {
		connection := engine.dial()
		all.Go(func() {
			for n := i; ; n += 37 {
				select {
				case <-over:
					return
				default:
				}
				if err := talk(connection, n); err != nil {
					t.Errorf("a connection that stood broke: %v", err)
					return
				}
			}
		})
	}
	for range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				connection, err := net.Dial("tcp", engine.document.Upstreams[0].Listen)
				if err == nil {
					err = errors.Join(talk(connection, n), connection.Close())
				}
				if err != nil {
					t.Errorf("a new connection failed: %v", err)
					return
				}
				dials.Add(1)
			}
		})
	}
	ticker := clock.RealClock{}.NewTicker(storm)
	defer ticker.Stop()
	rotations := 0
	for end := time.Now().Add(lasts); time.Now().Before(end); rotations++ {
		<-ticker.C()
		for _, one := range []struct {
			pod *pod
			id  string
		}{{server, lis}, {engine, "spiffe://lab.example/ns/pathology/labworkload/engine"}} {
			roots := root.PEM()
			if rotations%2 == 0 {
				roots = append(roots, second.PEM()...)
			}
			one.pod.files["trust/"+domain+".pem"] = roots
			one.pod.show(root.Issue(pki.Leaf{URIs: []string{one.id}}))
			one.pod.document.MaxConnectionAge = int64(100000 + rotations)
			one.pod.mount()
		}
	}
	close(over)
	all.Wait()
	if got := server.report(); got.Ports[0].Refused != 0 || got.IdentityError != "" {
		t.Errorf("the server refused %d, %s", got.Ports[0].Refused, got.IdentityError)
	}
	if got := engine.report(); got.Upstreams[0].Failed != 0 {
		t.Errorf("the client failed %d times: %s", got.Upstreams[0].Failed, got.Upstreams[0].LastError)
	}
	t.Logf("%d rotations of both sides in %s: %d messages on %d connections that stood, %d new connections, none failed",
		rotations, lasts, messages.Load(), talkers, dials.Load())
}

// standing opens a connection that works and stays.
func standing(t testing.TB, address string, identity pki.Issued) *tls.Conn {
	t.Helper()
	connection, err := tls.Dial("tcp", address, client(t, &identity))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := say(connection, "hello"); err != nil {
		t.Fatal(err)
	}
	return connection
}

// ended waits for the end of a connection and says how long that took.
func ended(t testing.TB, connection net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if err := connection.SetDeadline(began.Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(connection); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection still stands after 5 s")
	}
	return time.Since(began)
}

// TestWithdrawn takes away what a connection stands on. It ends; another one, which still has it, stays.
func TestWithdrawn(t *testing.T) {
	const other = "spiffe://lab.example/ns/pathology/labworkload/other"
	for name, test := range map[string]struct {
		withdraw func(p *pod, second *pki.Authority)
		reason   string
	}{
		"the peer is taken out of the list": {func(p *pod, _ *pki.Authority) { p.document.Ports[0].Peers = []config.Peer{{ID: other}} }, "NotAllowed"},
		"the peer is revoked": {func(p *pod, _ *pki.Authority) {
			p.document.RevokedBefore = map[string]time.Time{engine: time.Now()}
		}, "Revoked"},
		"its root is removed":      {func(p *pod, second *pki.Authority) { p.files["trust/"+domain+".pem"] = second.PEM() }, "RootRemoved"},
		"its address is not given": {func(p *pod, _ *pki.Authority) { p.document.Ports[0].Peers[0].CIDRs = []string{"10.0.0.0/8"} }, "WrongAddress"},
	} {
		t.Run(name, func(t *testing.T) {
			root, second := pki.NewAuthority(t, "lab"), pki.NewAuthority(t, "second")
			server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
			server.document.Ports[0].Peers = []config.Peer{{ID: engine}, {ID: other}}
			server.files["trust/"+domain+".pem"] = append(root.PEM(), second.PEM()...)
			// The interval of a pod, as the time is what counts here.
			server.start(func(o *sidecar.Options) { o.Poll = sidecar.Defaults().Poll })
			goes := standing(t, server.secure(), root.Issue(pki.Leaf{URIs: []string{engine}}))
			stays := standing(t, server.secure(), second.Issue(pki.Leaf{URIs: []string{other}}))
			test.withdraw(server, second)
			server.mount()
			t.Logf("ended after %s", ended(t, goes).Round(time.Millisecond))
			eventually(t, "the log has the reason", server.logs("connection ended", `"reason":"`+test.reason+`"`, engine))
			if err := say(stays, "still here"); err != nil {
				t.Errorf("another connection was touched: %v", err)
			}
			identity := root.Issue(pki.Leaf{URIs: []string{engine}, NotBefore: time.Now().Add(-time.Minute)})
			refused(t, server.secure(), client(t, &identity))
		})
	}
}

// TestResumption removes an identity between two connections of a client that keeps sessions.
func TestResumption(t *testing.T) {
	for _, version := range []string{config.TLS12, config.TLS13} {
		t.Run("TLS "+version, func(t *testing.T) {
			root := pki.NewAuthority(t, "lab")
			server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
			server.document.Ports[0].MinTLSVersion = config.TLS12
			server.start()
			identity := root.Issue(pki.Leaf{URIs: []string{engine}})
			configuration := client(t, &identity)
			configuration.ClientSessionCache = tls.NewLRUClientSessionCache(8)
			if version == config.TLS12 {
				configuration.MaxVersion = tls.VersionTLS12
			}
			for range 2 {
				connection, err := tls.Dial("tcp", server.secure(), configuration)
				if err != nil {
					t.Fatal(err)
				}
				if err := say(connection, "hello"); err != nil {
					t.Fatal(err)
				}
				if connection.ConnectionState().DidResume {
					t.Error("a session was resumed")
				}
				_ = connection.Close()
			}
			digest := server.report().Configuration
			server.document.Ports[0].Peers = nil
			server.mount()
			eventually(t, "the list is empty", func() bool { return server.report().Configuration != digest })
			refused(t, server.secure(), configuration)
		})
	}
}

// TestUntouched changes everything that does not concern a connection.
func TestUntouched(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	connection := standing(t, server.secure(), root.Issue(pki.Leaf{URIs: []string{engine}}))
	first := server.secure()
	server.document.Ports = append(server.document.Ports, config.Port{
		Name: "http", Port: freePort(t), ListenPort: freePort(t), Stage: config.Permissive, MinTLSVersion: config.TLS13, Peers: []config.Peer{{ID: engine}},
	})
	server.mount()
	eventually(t, "there is a second listener", func() bool {
		probe, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", server.document.Ports[1].ListenPort))
		return err == nil && probe.Close() == nil
	})
	if err := say(connection, "still here"); err != nil {
		t.Fatal(err)
	}
	// The listener moves; the port of the application, and so the connection, is the same.
	server.document.Ports[0].ListenPort = freePort(t)
	server.document.Ports = server.document.Ports[:1]
	server.document.MaxConnections = 1
	server.mount()
	eventually(t, "the first listener is gone", func() bool {
		probe, err := net.Dial("tcp", first)
		return err != nil || probe.Close() != nil
	})
	if err := say(connection, "still here"); err != nil {
		t.Fatal(err)
	}
}

func TestTLS12Port(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.document.Ports[0].MinTLSVersion = config.TLS12
	server.start()
	identity := root.Issue(pki.Leaf{URIs: []string{engine}})
	for name, test := range map[string]struct {
		suites []uint16
		min    uint16
		max    uint16
		good   bool
	}{
		"TLS 1.3":          {max: tls.VersionTLS13, good: true},
		"TLS 1.2":          {max: tls.VersionTLS12, good: true},
		"TLS 1.2 with CBC": {max: tls.VersionTLS12, suites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
		"TLS 1.1":          {min: tls.VersionTLS10, max: tls.VersionTLS11},
	} {
		t.Run(name, func(t *testing.T) {
			configuration := client(t, &identity)
			configuration.MaxVersion, configuration.CipherSuites = test.max, test.suites
			if test.min != 0 {
				configuration.MinVersion = test.min
			}
			connection, err := tls.Dial("tcp", server.secure(), configuration)
			if err == nil {
				defer func() { _ = connection.Close() }()
				err = say(connection, "hello")
			}
			if (err == nil) != test.good {
				t.Errorf("%v", err)
			}
		})
	}
}
