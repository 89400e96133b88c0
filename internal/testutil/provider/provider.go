// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"crypto/rand"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// ClientID is the client of kubectl, and the audience of its tokens.
	ClientID = "kubernetes"
	// TokenLife is how long a token is valid, unless WithTokenLife says something else.
	TokenLife = time.Hour

	headerTimeout = 10 * time.Second
)

// Provider is an OpenID Connect provider that runs until its test ends.
type Provider struct {
	address     string
	certificate certificate
	// key opens the page where people log in; nobody but Login knows it.
	key     string
	network func(func() error) error
	store   *store
	server  *http.Server

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
}

// An Option changes a provider.
type Option func(*Provider)

// WithNetwork has the provider listen, and Login connect, where enter calls what it is given: in the network of a node, by InNetwork of package node.
func WithNetwork(enter func(func() error) error) Option {
	return func(p *Provider) { p.network = enter }
}

// WithTokenLife changes how long tokens are valid.
func WithTokenLife(life time.Duration) Option {
	return func(p *Provider) { p.store.life = life }
}

// ForgetMethods has tokens that are refreshed say nothing of methods, as some products do.
func ForgetMethods() Option {
	return func(p *Provider) { p.store.forget = true }
}

// New runs a provider.
func New(t testing.TB, options ...Option) *Provider {
	t.Helper()
	p := &Provider{
		key: rand.Text(), store: newStore(), conns: map[net.Conn]struct{}{},
		network: func(call func() error) error { return call() },
	}
	for _, option := range options {
		option(p)
	}
	var err error
	if p.certificate, err = selfSigned(); err != nil {
		t.Fatalf("run a provider: %v", err)
	}
	if err := p.store.rotate(); err != nil {
		t.Fatalf("run a provider: %v", err)
	}
	listener, err := p.listen()
	if err != nil {
		t.Fatalf("run a provider: %v", err)
	}
	p.address = listener.Addr().String()
	handler, err := p.handler()
	if err != nil {
		t.Fatalf("run a provider: %v", err)
	}
	// A stopped provider would write a line for each connection.
	silent := log.New(io.Discard, "", 0)
	p.server = &http.Server{Handler: handler, ConnState: p.watch, ReadHeaderTimeout: headerTimeout, ErrorLog: silent}
	go func() { _ = p.server.Serve(tls.NewListener(listener, p.certificate.server())) }()
	t.Cleanup(func() { _ = p.server.Close() })
	return p
}

func (p *Provider) listen() (net.Listener, error) {
	var listener net.Listener
	err := p.network(func() error {
		var err error
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	return listener, err
}

func (p *Provider) handler() (http.Handler, error) {
	config := &op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true}
	_, _ = rand.Read(config.CryptoKey[:])
	protocol, err := op.NewProvider(config, p.store, op.StaticIssuer(p.Issuer()))
	if err != nil {
		return nil, err
	}
	routes := http.NewServeMux()
	routes.Handle("POST "+loginPath, p.page(op.AuthCallbackURL(protocol)))
	routes.Handle("/", protocol)
	return op.NewIssuerInterceptor(protocol.IssuerFromRequest).Handler(routes), nil
}

// Issuer is the URL of the provider.
func (p *Provider) Issuer() string { return "https://" + p.address }

// CertificateAuthority is what to trust to talk to the provider, in PEM.
func (p *Provider) CertificateAuthority() string { return string(p.certificate.pem) }

// Stop ends all connections and lets nobody say anything on new ones, until Start. The port stays the provider's own, so that nothing else can have it
// meanwhile.
func (p *Provider) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// Start has a stopped provider answer again.
func (p *Provider) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// RotateKey has the provider sign with a new key from now on, and publish no other.
func (p *Provider) RotateKey(t testing.TB) {
	t.Helper()
	if err := p.store.rotate(); err != nil {
		t.Fatalf("replace the key of the provider: %v", err)
	}
}

func (p *Provider) watch(conn net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		if p.down {
			_ = conn.Close()
			return
		}
		p.conns[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(p.conns, conn)
	case http.StateActive, http.StateIdle:
	}
}
