// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// pair is an engine that talks to a lis, each with its airlock.
func pair(t testing.TB, serve func(*net.TCPConn)) (server, engine *pod) {
	t.Helper()
	root := pki.NewAuthority(t, "lab")
	server = serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", serve)))
	server.start()
	engine = clientPod(t, root, server.secure())
	engine.start()
	return server, engine
}

func TestBothHalvesCarryBytes(t *testing.T) {
	server, client := pair(t, echo)
	connection := client.dial()
	for _, size := range []int{1, 511, 512, 513, 16383, 16384, 16385, 1 << 20} {
		message := strings.Repeat("m", size)
		if size > 1<<17 {
			// More than what the sockets hold: it has to be read while it is written.
			go func() { _, _ = io.WriteString(connection, message) }()
			if n, err := io.ReadFull(connection, make([]byte, size)); err != nil {
				t.Fatalf("%d bytes: %d came back: %v", size, n, err)
			}
			continue
		}
		if err := say(connection, message); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	connections := server.report().Connections
	if len(connections) != 1 || connections[0].Peer != engine || connections[0].Count != 1 {
		t.Errorf("the server reports %+v", connections)
	}
	if connections := client.report().Connections; len(connections) != 1 || connections[0].Peer != lis {
		t.Errorf("the client reports %+v", connections)
	}
	during := client.report().Upstreams
	if len(during) != 1 || during[0].LastHandshake == nil {
		t.Fatalf("the client reports no handshake while the connection stands: %+v", during)
	}
	_ = connection.Close()
	eventually(t, "nothing is left", func() bool { return len(server.report().Connections) == 0 && len(client.report().Connections) == 0 })
	if got := server.report().Ports; len(got) != 1 || got[0].Secure != 1 || got[0].Refused != 0 {
		t.Errorf("the server counts %+v", got)
	}
	after := client.report().Upstreams
	if len(after) != 1 || after[0].LastHandshake == nil || !after[0].LastHandshake.Equal(*during[0].LastHandshake) {
		t.Fatalf("the handshake is remembered as %+v, and was %+v", after, during)
	}
	after[0].LastHandshake = nil
	if after[0] != (report.Upstream{Name: "pathology/lis/mllp", Secure: 1}) {
		t.Errorf("the client counts %+v", after)
	}
}

func TestHalfClose(t *testing.T) {
	t.Run("the client is done first", func(t *testing.T) {
		_, client := pair(t, func(c *net.TCPConn) {
			// An answer to all of it, which needs the end.
			all, _ := io.ReadAll(c)
			sum := sha256.Sum256(all)
			_, _ = c.Write(sum[:])
		})
		connection := client.dial()
		sent := make([]byte, 3<<20)
		_, _ = rand.Read(sent)
		if _, err := connection.Write(sent); err != nil {
			t.Fatal(err)
		}
		if err := connection.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(connection)
		if sum := sha256.Sum256(sent); err != nil || !bytes.Equal(answer, sum[:]) {
			t.Errorf("%x came back, %v", answer, err)
		}
	})
	t.Run("the server is done first", func(t *testing.T) {
		received := make(chan string, 1)
		_, client := pair(t, func(c *net.TCPConn) {
			_ = c.CloseWrite()
			all, _ := io.ReadAll(c)
			received <- string(all)
		})
		connection := client.dial()
		if rest, err := io.ReadAll(connection); err != nil || len(rest) != 0 {
			t.Fatalf("%q, %v", rest, err)
		}
		if _, err := io.WriteString(connection, "still here"); err != nil {
			t.Fatal(err)
		}
		_ = connection.Close()
		if got := <-received; got != "still here" {
			t.Errorf("the server got %q", got)
		}
	})
}

func TestServerSpeaksFirst(t *testing.T) {
	_, client := pair(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "220 ready\r\n") })
	connection := client.dial()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if greeting, err := io.ReadAll(connection); err != nil || string(greeting) != "220 ready\r\n" {
		t.Errorf("%q, %v", greeting, err)
	}
}

// TestBrokenIsNoEnd breaks one side of a connection. The other side must not take it for the end of what was sent.
func TestBrokenIsNoEnd(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	seen := make(chan error, 1)
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", func(c *net.TCPConn) {
		_, err := io.Copy(c, c)
		seen <- err
	})))
	server.start()
	identity := root.Issue(pki.Leaf{URIs: []string{engine}})
	t.Run("a peer leaves without the end of TLS", func(t *testing.T) {
		connection := standing(t, server.secure(), identity)
		if err := connection.NetConn().Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-seen; err == nil {
			t.Error("the application sees a good end")
		}
		eventually(t, "the log has the reason", server.logs(`"reason":"Truncated"`))
	})
	t.Run("a peer says its end", func(t *testing.T) {
		connection := standing(t, server.secure(), identity)
		if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-seen; err != nil {
			t.Errorf("the application sees %v", err)
		}
	})
	t.Run("the application crashes", func(t *testing.T) {
		crashing := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", func(c *net.TCPConn) {
			_, _ = io.ReadFull(c, make([]byte, 5))
			_, _ = io.WriteString(c, "hello")
			_, _ = io.ReadFull(c, make([]byte, 1))
			_ = c.SetLinger(0)
		})))
		crashing.start()
		client := clientPod(t, root, crashing.secure())
		client.start()
		connection := client.dial()
		if err := say(connection, "hello"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(connection, "x"); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(connection); err == nil {
			t.Errorf("the other application sees a good end after %q", rest)
		}
	})
}
