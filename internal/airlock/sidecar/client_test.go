// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/sidecar"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// TestFallback shows when plaintext goes out, and above all when it does not.
func TestFallback(t *testing.T) {
	root, tenant := pki.NewAuthority(t, "lab"), pki.NewAuthority(t, "tenant")
	var plaintext atomic.Int64
	plain := listenOn(t, "127.0.0.1:0", func(c *net.TCPConn) { plaintext.Add(1); echo(c) }).Addr().String()
	application := portOf(listenOn(t, "127.0.0.1:0", echo))
	server := func(change func(*pod)) string {
		p := serverPod(t, root, application)
		change(p)
		p.start()
		return p.secure()
	}
	nobody := on("127.0.0.1", freePort(t)).String()
	good := server(func(*pod) {})
	imposter := server(func(p *pod) { p.show(tenant.Issue(pki.Leaf{URIs: []string{lis}})) })
	stranger := server(func(p *pod) { p.show(root.Issue(pki.Leaf{URIs: []string{engine}})) })
	closed := server(func(p *pod) { p.document.Ports[0].Peers = nil })
	bare := server(func(p *pod) { delete(p.files, config.CertificateFile); delete(p.files, config.KeyFile) })
	for name, test := range map[string]struct {
		secure   string
		fallback bool
		change   func(*pod)
		// kind is how it goes out: secure, plaintext or not at all, and then failure is why.
		kind, failure string
	}{
		"a good server":                                   {secure: good, fallback: true, kind: "secure"},
		"nobody listens":                                  {secure: nobody, fallback: true, kind: "plaintext"},
		"nobody listens, at Strict":                       {secure: nobody, failure: "UpstreamRefused"},
		"there is no address":                             {fallback: true, kind: "plaintext"},
		"there is no address, at Strict":                  {failure: "NoSecureAddress"},
		"an authority that is not ours":                   {secure: imposter, fallback: true, failure: "UnknownAuthority"},
		"another workload answers":                        {secure: stranger, fallback: true, failure: "NotAllowed"},
		"it speaks no TLS":                                {secure: plain, fallback: true, failure: "NoAgreement"},
		"it does not let us in":                           {secure: closed, fallback: true, failure: "RefusedByPeer"},
		"it has no identity":                              {secure: bare, fallback: true, failure: "HandshakeAborted"},
		"we have no identity":                             {secure: good, fallback: true, change: func(p *pod) { delete(p.files, config.KeyFile) }, failure: "NoIdentity"},
		"we have no identity, and nobody listens":         {secure: nobody, fallback: true, change: func(p *pod) { delete(p.files, config.KeyFile) }, kind: "plaintext"},
		"we have no roots":                                {secure: good, fallback: true, change: func(p *pod) { delete(p.files, "trust/"+domain+".pem") }, failure: "NoTrust"},
		"plaintext is allowed, and there is none":         {secure: nobody, fallback: true, change: func(p *pod) { p.document.Upstreams[0].Plain = "" }, failure: "UpstreamRefused"},
		"plaintext is allowed, and nobody listens either": {secure: nobody, fallback: true, change: func(p *pod) { p.document.Upstreams[0].Plain = nobody }, failure: "UpstreamRefused"},
	} {
		t.Run(name, func(t *testing.T) {
			before := plaintext.Load()
			client := clientPod(t, root, test.secure)
			client.document.Upstreams[0].Fallback, client.document.Upstreams[0].Plain = test.fallback, plain
			if test.change != nil {
				test.change(client)
			}
			client.start()
			err := client.talk("MSH|")
			if (err == nil) != (test.kind != "") {
				t.Fatalf("%v", err)
			}
			if err != nil && errors.Is(err, io.EOF) {
				t.Error("the application sees the end of an answer, and not a failure")
			}
			if test.secure != plain {
				if went := plaintext.Load() > before; went != (test.kind == "plaintext") {
					t.Errorf("plaintext went out: %v", went)
				}
			}
			eventually(t, "the report has it", func() bool {
				got := client.report().Upstreams[0]
				// A handshake counts once the other side has let us in, and not before.
				if (got.LastHandshake != nil) != (test.kind == "secure") {
					return false
				}
				switch test.kind {
				case "secure":
					return got.Secure == 1 && got.Plaintext == 0 && got.Failed == 0
				case "plaintext":
					return got.Secure == 0 && got.Plaintext == 1 && got.Failed == 0 && got.LastPlaintext != nil
				default:
					return got.Secure == 0 && got.Plaintext == 0 && got.Failed == 1 && got.LastError == test.failure
				}
			})
		})
	}
}

// TestMaxConnections fills an airlock from both halves together.
func TestMaxConnections(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	other := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	other.document.Ports[0].Peers = []config.Peer{{ID: engine}}
	other.start()
	both := clientPod(t, root, other.secure())
	both.document.Ports = []config.Port{{
		Name: "mllp", Port: portOf(listenOn(t, "127.0.0.1:0", echo)), ListenPort: freePort(t), Stage: config.Strict, MinTLSVersion: config.TLS13,
		Peers: []config.Peer{{ID: lis}},
	}}
	both.document.MaxConnections = 2
	both.start()
	peer := root.Issue(pki.Leaf{URIs: []string{lis}})
	inward, outward := standing(t, both.secure(), peer), both.dial()
	if err := say(outward, "hello"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		refused(t, both.secure(), client(t, &peer))
		if err := both.talk("hello"); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%v", err)
		}
	}
	eventually(t, "they are counted", func() bool {
		got := both.report()
		return got.Ports[0].Refused == 3 && got.Upstreams[0].Failed == 3 && got.Upstreams[0].LastError == "TooManyConnections"
	})
	for _, connection := range []net.Conn{inward, outward} {
		if err := say(connection, "still here"); err != nil {
			t.Errorf("a connection that stood was touched: %v", err)
		}
	}
	_ = inward.Close()
	eventually(t, "a place is free", func() bool {
		return both.talk("hello") == nil
	})
}

// TestListenConflict has an upstream on an address that the application has. It is reported, and opened once it is free.
func TestListenConflict(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	client := clientPod(t, root, server.secure())
	taken := listenOn(t, client.document.Upstreams[0].Listen, echo)
	client.start()
	if got := client.report().ListenErrors; len(got) != 1 || !strings.Contains(got[0], "upstream pathology/lis/mllp: listen on 127.0.64.1:") {
		t.Fatalf("%q", got)
	}
	_ = taken.Close()
	eventually(t, "it is open", func() bool { return len(client.report().ListenErrors) == 0 })
	if err := say(client.dial(), "hello"); err != nil {
		t.Error(err)
	}
}

// wildcard is a witness that sees the application on all addresses.
type wildcard struct {
	sidecar.Blind
	seen atomic.Bool
}

func (w *wildcard) WildcardListener(int) bool { return w.seen.Load() }

func TestNeverBesideTheApplication(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	client := clientPod(t, root, "127.0.0.1:1")
	witness := &wildcard{}
	witness.seen.Store(true)
	client.start(func(o *sidecar.Options) { o.Witness = witness })
	if got := client.report().ListenErrors; len(got) != 1 || !strings.Contains(got[0], "the pod itself listens") {
		t.Fatalf("%q", got)
	}
	if connection, err := net.Dial("tcp", client.document.Upstreams[0].Listen); err == nil {
		_ = connection.Close()
		t.Error("airlock listens")
	}
	witness.seen.Store(false)
	eventually(t, "it is open", func() bool { return len(client.report().ListenErrors) == 0 })
}

// TestRedirect has connections arrive at the redirect port, as the rules of a pod would send them there.
func TestRedirect(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	untouched := listenOn(t, "127.0.0.1:0", echo).Addr().(*net.TCPAddr).AddrPort()
	service := netip.MustParseAddrPort("10.96.0.7:2575")
	client := clientPod(t, root, server.secure())
	client.document.ClientPath = config.Redirect
	client.document.Upstreams[0].Listen, client.document.Upstreams[0].Destinations = "", []string{service.String()}
	var destination atomic.Pointer[netip.AddrPort]
	port := freePort(t)
	client.start(func(o *sidecar.Options) {
		o.RedirectPort = port
		o.Destination = func(*net.TCPConn) (netip.AddrPort, error) {
			if to := destination.Load(); to != nil {
				return *to, nil
			}
			return netip.AddrPort{}, syscall.ENOPROTOOPT
		}
	})
	dial := func(to *netip.AddrPort) error {
		destination.Store(to)
		connection, err := net.DialTimeout("tcp", on("127.0.0.1", port).String(), 5*time.Second)
		if err != nil {
			return err // the refusal may be faster than the dialler notices that it is connected
		}
		defer func() { _ = connection.Close() }()
		return say(connection, "hello")
	}
	mapped := netip.AddrPortFrom(netip.AddrFrom16(service.Addr().As16()), service.Port())
	for name, to := range map[string]*netip.AddrPort{"an upstream": &service, "the same, as IPv6": &mapped, "elsewhere": &untouched} {
		if err := dial(to); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	itself := on("127.0.0.1", port)
	for name, to := range map[string]*netip.AddrPort{"nowhere": nil, "airlock itself": &itself} {
		if err := dial(to); err == nil {
			t.Errorf("%s: it is served", name)
		}
	}
	eventually(t, "the lines are there", func() bool {
		return client.logs(`"kind":"passed"`)() && client.logs(`"reason":"Loop"`)() && client.logs(`"reason":"NoDestination"`)()
	})
	if got := client.report().Upstreams[0]; got.Secure != 2 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
}
