// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/airlock/sidecar"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// onClock runs a pod on a clock of the test.
func onClock(clock *clocktesting.FakeClock) func(*sidecar.Options) {
	return func(o *sidecar.Options) { o.Clock, o.Poll = clock, time.Second }
}

// seconds lets time pass, second by second, so that everything that looks at it once a second does.
func seconds(t testing.TB, clock *clocktesting.FakeClock, n int, each func()) {
	t.Helper()
	for range n {
		clock.Step(time.Second)
		if each != nil {
			each()
		}
	}
}

// quietly lets seconds pass until something holds, and says how many did.
func quietly(t testing.TB, clock *clocktesting.FakeClock, what string, holds func() bool) int {
	t.Helper()
	passed := 0
	eventually(t, what, func() bool {
		if holds() {
			return true
		}
		clock.Step(time.Second)
		passed++
		return false
	})
	return passed
}

// over says that a connection has come to its end.
func over(connection net.Conn) func() bool {
	return func() bool {
		_ = connection.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := connection.Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
}

// TestQuietClose lets the certificate of a peer end while its connection stands. It is served for as long as it talks, and ends in good order once it is quiet.
func TestQuietClose(t *testing.T) {
	for _, half := range []string{"server", "client"} {
		t.Run(half, func(t *testing.T) {
			root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
			server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
			short := pki.Leaf{URIs: []string{engine}, NotBefore: clock.Now().Add(-time.Hour), NotAfter: clock.Now().Add(time.Hour)}
			var connection net.Conn
			if half == "server" {
				server.start(onClock(clock))
				connection = standing(t, server.secure(), root.Issue(short))
			} else {
				short.URIs = []string{lis}
				server.show(root.Issue(short))
				server.start()
				client := clientPod(t, root, server.secure())
				client.start(onClock(clock))
				connection = client.dial()
			}
			for range 58 {
				clock.Step(time.Minute)
				if err := say(connection, "hello"); err != nil {
					t.Fatalf("before the end: %v", err)
				}
			}
			seconds(t, clock, 180, func() {
				if err := say(connection, "still talking"); err != nil {
					t.Fatalf("the certificate has ended, and the connection with it: %v", err)
				}
			})
			passed := quietly(t, clock, "it has ended", over(connection))
			t.Logf("ended after %d quiet seconds", passed)
			if passed < 5 {
				t.Error("that was not quiet for long enough")
			}
		})
	}
}

func TestMaxConnectionAge(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.document.MaxConnectionAge = 60
	server.start(onClock(clock))
	connection := standing(t, server.secure(), root.Issue(pki.Leaf{URIs: []string{engine}}))
	seconds(t, clock, 58, func() {
		if err := say(connection, "hello"); err != nil {
			t.Fatal(err)
		}
	})
	clock.Step(2 * time.Second)
	eventually(t, "it has ended", over(connection))
	eventually(t, "the log has the reason", server.logs(`"reason":"TooOld"`))
}

// TestFallbackEnds makes an upstream Strict while a plaintext connection to it stands.
func TestFallbackEnds(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	client := clientPod(t, root, "")
	client.document.Upstreams[0].Fallback, client.document.Upstreams[0].Plain = true, listenOn(t, "127.0.0.1:0", echo).Addr().String()
	client.start(onClock(clock))
	connection := client.dial()
	seconds(t, clock, 10, nil)
	if err := say(connection, "hello"); err != nil {
		t.Fatal(err)
	}
	client.document.Upstreams[0].Fallback = false
	client.mount()
	seconds(t, clock, 10, func() {
		if err := say(connection, "still talking"); err != nil {
			t.Fatal(err)
		}
	})
	quietly(t, clock, "it has ended", over(connection))
	eventually(t, "the log has the reason", client.logs(`"reason":"FallbackEnded"`))
}

// TestHalfClosedIdle leaves a connection behind whose client is gone and whose server never ends.
func TestHalfClosedIdle(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	stays := make(chan struct{})
	defer close(stays)
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", func(*net.TCPConn) { <-stays })))
	server.start(onClock(clock))
	identity := root.Issue(pki.Leaf{URIs: []string{engine}})
	connection, err := tls.Dial("tcp", server.secure(), client(t, &identity))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it stands", func() bool { return len(server.report().Connections) == 1 })
	_ = connection.Close()
	eventually(t, "it has ended", func() bool {
		clock.Step(time.Minute)
		return len(server.report().Connections) == 0
	})
	eventually(t, "the log has a reason", server.logs("connection ended"))
}

// TestClockAhead stops cert-manager at the worst time, just before a renewal, and lets twenty days pass. It prints what works and what has warned.
func TestClockAhead(t *testing.T) {
	const (
		day      = 24 * time.Hour
		duration = 336 * time.Hour
		before   = 264 * time.Hour
	)
	start := time.Now()
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(start)
	issue := func(id string, at time.Time) pki.Issued {
		return root.Issue(pki.Leaf{URIs: []string{id}, NotBefore: at, NotAfter: at.Add(duration)})
	}
	made := start.Add(-(duration - before))
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.show(issue(lis, made))
	server.start(onClock(clock))
	engine := clientPod(t, root, server.secure())
	engine.show(issue("spiffe://lab.example/ns/pathology/labworkload/engine", made))
	engine.start(onClock(clock))
	stands := engine.dial()
	if err := say(stands, "hello"); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\nday  new connections  one that stood                      what warns (from the report)\n")
	gone := false
	for n := range 21 {
		if n > 0 {
			clock.SetTime(start.Add(time.Duration(n)*day + time.Minute))
		}
		fresh := "work"
		if err := engine.talk("hello"); err != nil {
			eventually(t, "there is a reason", func() bool { return engine.report().Upstreams[0].LastError != "" })
			fresh = "refused: " + engine.report().Upstreams[0].LastError
		}
		old := "works"
		switch {
		case gone:
			old = "has ended"
		case n < 11:
			if err := say(stands, "hello"); err != nil {
				t.Fatalf("day %d: a connection that stood broke: %v", n, err)
			}
		default:
			quietly(t, clock, "it has ended", over(stands))
			gone, old = true, "ends in good order, when quiet 5 s"
		}
		identity := server.report().Identity
		warns := []string{}
		now, due := clock.Now(), identity.NotAfter.Add(-before)
		if late := now.Sub(due); late > 12*time.Hour {
			warns = append(warns, fmt.Sprintf("renewal late by %d h", int(late.Hours())))
		}
		if now.After(identity.NotAfter.Add(-before / 2)) {
			warns = append(warns, "half of the slack is gone")
		}
		if now.After(identity.NotAfter) {
			warns = append(warns, "expired; root of the identity: "+fmt.Sprintf("%q", identity.Root))
		}
		fmt.Fprintf(&table, "%3d  %-15s  %-34s  %s\n", n, fresh, old, strings.Join(warns, ", "))
		if want := n < 11; (fresh == "work") != want {
			t.Errorf("day %d: new connections: %s", n, fresh)
		}
		if n > 0 && len(warns) == 0 {
			t.Errorf("day %d: nothing warns", n)
		}
	}
	t.Log(table.String())
	server.show(issue(lis, clock.Now().Add(-time.Minute)))
	engine.show(issue("spiffe://lab.example/ns/pathology/labworkload/engine", clock.Now().Add(-time.Minute)))
	server.mount()
	engine.mount()
	quietly(t, clock, "it works again as soon as there are certificates", func() bool {
		return engine.talk("hello") == nil
	})
}

// TestDrain ends a pod with and without connections.
func TestDrain(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	application := portOf(listenOn(t, "127.0.0.1:0", echo))
	identity := root.Issue(pki.Leaf{URIs: []string{engine}})
	end := func(p *pod) time.Duration {
		began := time.Now()
		p.stop()
		err := <-p.done
		p.done <- err
		return time.Since(began)
	}
	t.Run("nothing is open", func(t *testing.T) {
		server := serverPod(t, root, application)
		server.start()
		if took := end(server); took > time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("a quiet connection", func(t *testing.T) {
		server := serverPod(t, root, application)
		server.start()
		connection := standing(t, server.secure(), identity)
		took := end(server)
		if rest, err := io.ReadAll(connection); err != nil || len(rest) != 0 {
			t.Errorf("it did not end in good order: %v", err)
		}
		t.Logf("it took %s", took.Round(time.Millisecond))
		if took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("a busy connection", func(t *testing.T) {
		server := serverPod(t, root, application)
		server.start(func(o *sidecar.Options) { o.Grace = 3 * time.Second })
		connection := standing(t, server.secure(), identity)
		talked := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			for say(connection, "busy") == nil {
			}
			talked <- time.Since(began)
		}()
		eventually(t, "it listens no longer", func() bool {
			server.stop()
			probe, err := net.Dial("tcp", server.secure())
			return err != nil || probe.Close() != nil
		})
		if took := <-talked; took < 2*time.Second || took > 8*time.Second {
			t.Errorf("it was served for %s", took)
		}
		end(server)
	})
}

// TestApplicationAddresses has the application where it may be: on 127.0.0.1, on [::1], or nowhere.
func TestApplicationAddresses(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	identity := root.Issue(pki.Leaf{URIs: []string{engine}})
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Logf("this machine has no IPv6 on loopback, so [::1] is not tried: %v", err)
	} else {
		_ = listener.Close()
		server := serverPod(t, root, portOf(listenOn(t, "[::1]:0", echo)))
		server.start()
		works(t, server.secure(), identity)
	}
	server := serverPod(t, root, freePort(t))
	server.start()
	refused(t, server.secure(), client(t, &identity))
	eventually(t, "the log has the reason", server.logs(`"reason":"ApplicationRefused"`))
	// The application comes later.
	listenOn(t, on("127.0.0.1", server.document.Ports[0].Port).String(), echo)
	works(t, server.secure(), identity)
}
