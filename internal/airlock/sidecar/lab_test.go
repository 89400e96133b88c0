// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/airlock/sidecar"
	"github.com/labguard/labguard/internal/testutil/pki"
)

const (
	domain   = "lab.example"
	lis      = "spiffe://lab.example/ns/pathology/labworkload/lis"
	engine   = "spiffe://lab.example/ns/pathology/labworkload/engine"
	operator = "spiffe://lab.example/labguard/operator"
)

// lines is the log of an airlock.
type lines struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

// pod is an airlock with what is mounted into it.
type pod struct {
	t        testing.TB
	volume   *pki.Volume
	files    map[string][]byte
	document config.Configuration
	sidecar  *sidecar.Sidecar
	log      *lines
	stop     context.CancelFunc
	done     chan error
	health   int
	admin    int
}

// newPod makes a pod with an identity of the lab, and without ports.
func newPod(t testing.TB, root *pki.Authority, id string) *pod {
	t.Helper()
	p := &pod{t: t, volume: pki.NewVolume(t), log: &lines{}, document: config.Configuration{
		Version: config.Version, TrustDomain: domain, Identity: id, Operator: operator, MaxConnections: 4096,
	}, files: map[string][]byte{"trust/" + domain + ".pem": root.PEM()}}
	p.show(root.Issue(pki.Leaf{URIs: []string{id}}))
	return p
}

func (p *pod) show(identity pki.Issued) {
	p.files[config.CertificateFile], p.files[config.KeyFile] = identity.Chain, identity.Key
}

// mount writes everything.
func (p *pod) mount() {
	p.t.Helper()
	document, err := json.Marshal(p.document)
	if err != nil {
		p.t.Fatal(err)
	}
	files := maps.Clone(p.files)
	if _, given := files[config.FileName]; !given {
		files[config.FileName] = document
	}
	p.volume.Write(files)
}

// start runs the airlock, with the clock of the machine unless another is given.
func (p *pod) start(change ...func(*sidecar.Options)) {
	p.t.Helper()
	p.mount()
	options := sidecar.Defaults()
	options.Directory, options.Poll, options.RedirectPort = p.volume.Directory, 10*time.Millisecond, 0
	p.health, p.admin = freePort(p.t), freePort(p.t)
	options.HealthPort, options.AdminPort = p.health, p.admin
	options.Log = slog.New(slog.NewJSONHandler(p.log, nil))
	options.Clock = clock.RealClock{}
	for _, one := range change {
		one(&options)
	}
	p.sidecar = sidecar.New(options)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop, p.done = cancel, make(chan error, 1)
	go func() { p.done <- p.sidecar.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-p.done; err != nil {
			p.t.Errorf("airlock: %v", err)
		}
		if p.t.Failed() {
			p.t.Logf("log of %s:\n%s", p.document.Identity, p.log)
		}
	})
	eventually(p.t, "the kubelet gets ok", p.healthy)
}

func (p *pod) healthy() bool {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", p.health))
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

func (p *pod) report() report.Report { return p.sidecar.Report() }

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	ticker := clock.RealClock{}.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to this: %s", what)
		}
		<-ticker.C()
	}
}

var (
	handedOut      = map[int]bool{}
	handedOutMutex sync.Mutex
)

// on is an address on loopback.
func on(host string, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port)) //nolint:gosec // It is a port.
}

// freePort finds a port that nobody listens on, and never the same one twice.
func freePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		listener, err := net.Listen("tcp", ":0") //nolint:gosec // Free means on all addresses.
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		_ = listener.Close()
		handedOutMutex.Lock()
		taken := handedOut[port]
		handedOut[port] = true
		handedOutMutex.Unlock()
		if !taken {
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}

// listenOn runs an application.
func listenOn(t testing.TB, address string, serve func(*net.TCPConn)) *net.TCPListener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				serve(connection.(*net.TCPConn))
			}()
		}
	}()
	return listener.(*net.TCPListener)
}

// echo sends back what comes.
func echo(connection *net.TCPConn) { _, _ = io.Copy(connection, connection) }

func portOf(listener *net.TCPListener) int { return listener.Addr().(*net.TCPAddr).Port }

// serverPod is a lis whose application echoes and which lets the engine in.
func serverPod(t testing.TB, root *pki.Authority, application int) *pod {
	t.Helper()
	p := newPod(t, root, lis)
	p.document.Ports = []config.Port{{
		Name: "mllp", Port: application, ListenPort: freePort(t), Stage: config.Strict, MinTLSVersion: config.TLS13, Peers: []config.Peer{{ID: engine}},
	}}
	return p
}

func (p *pod) secure() string { return fmt.Sprintf("127.0.0.1:%d", p.document.Ports[0].ListenPort) }

// clientPod is an engine whose upstream is the airlock at secure.
func clientPod(t testing.TB, root *pki.Authority, secure string) *pod {
	t.Helper()
	p := newPod(t, root, engine)
	listen := on("127.0.64.1", freePort(t))
	p.document.Upstreams = []config.Upstream{{Name: "pathology/lis/mllp", Listen: listen.String(), Secure: secure, ID: lis, MinTLSVersion: config.TLS13}}
	return p
}

func (p *pod) dial() *net.TCPConn {
	p.t.Helper()
	connection, err := net.DialTimeout("tcp", p.document.Upstreams[0].Listen, 5*time.Second)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = connection.Close() })
	return connection.(*net.TCPConn)
}

// talk sends a message to the upstream over a connection of its own.
func (p *pod) talk(message string) error {
	p.t.Helper()
	connection, err := net.DialTimeout("tcp", p.document.Upstreams[0].Listen, 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	return say(connection, message)
}

// client is a peer that is no airlock.
func client(t testing.TB, identity *pki.Issued) *tls.Config {
	t.Helper()
	configuration := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // It is the server that is tested.
	if identity != nil {
		configuration.Certificates = []tls.Certificate{identity.TLS(t)}
	}
	return configuration
}

// say sends a message and reads as many bytes back.
func say(connection net.Conn, message string) error {
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, message); err != nil {
		return err
	}
	answer := make([]byte, len(message))
	if _, err := io.ReadFull(connection, answer); err != nil {
		return err
	}
	if string(answer) != message {
		return errors.New("another answer came")
	}
	return nil
}
