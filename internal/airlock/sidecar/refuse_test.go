// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/trust"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// works says that an allowed peer is served.
func works(t testing.TB, address string, identity pki.Issued) {
	t.Helper()
	connection, err := tls.Dial("tcp", address, client(t, &identity))
	if err != nil {
		t.Fatalf("an allowed peer is refused: %v", err)
	}
	defer func() { _ = connection.Close() }()
	if err := say(connection, "MSH|"); err != nil {
		t.Fatalf("an allowed peer is refused: %v", err)
	}
}

// refused says that a peer with this certificate gets nothing through.
func refused(t testing.TB, address string, configuration *tls.Config) {
	t.Helper()
	connection, err := tls.Dial("tcp", address, configuration)
	if err != nil {
		return
	}
	defer func() { _ = connection.Close() }()
	if err := say(connection, "MSH|"); err == nil {
		t.Error("the peer is served")
	}
}

func (p *pod) logs(words ...string) func() bool {
	return func() bool {
		return slices.ContainsFunc(strings.Split(p.log.String(), "\n"), func(line string) bool {
			for _, word := range words {
				if !strings.Contains(line, word) {
					return false
				}
			}
			return true
		})
	}
}

// TestBadPeers shows bad certificates and bad bytes to an airlock that goes on.
func TestBadPeers(t *testing.T) {
	root, tenant, hospital := pki.NewAuthority(t, "lab"), pki.NewAuthority(t, "tenant"), pki.NewAuthority(t, "hospital")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.files["authorities/hospital.pem"] = hospital.PEM()
	server.document.Ports[0].Peers = append(server.document.Ports[0].Peers, config.Peer{Pattern: "spiffe://hospital.example/analyser/*", Authority: "hospital"})
	server.start()
	good := root.Issue(pki.Leaf{URIs: []string{engine}})
	now := time.Now()
	for name, test := range map[string]struct {
		issued pki.Issued
		want   trust.Reason
	}{
		"an expired certificate":         {root.Issue(pki.Leaf{URIs: []string{engine}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}), trust.Expired},
		"a certificate of tomorrow":      {root.Issue(pki.Leaf{URIs: []string{engine}, NotBefore: now.Add(24 * time.Hour)}), trust.NotYetValid},
		"a certificate for servers":      {root.Issue(pki.Leaf{URIs: []string{engine}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), trust.WrongUsage},
		"two identities":                 {root.Issue(pki.Leaf{URIs: []string{engine, lis}}), trust.ManyIDs},
		"an authority as a leaf":         {root.Issue(pki.Leaf{URIs: []string{engine}, Authority: true}), trust.AuthorityAsLeaf},
		"an identity that is not listed": {root.Issue(pki.Leaf{URIs: []string{lis}}), trust.NotAllowed},
		"the identity from a tenant":     {tenant.Issue(pki.Leaf{URIs: []string{engine}}), trust.UnknownAuthority},
		"the identity from the hospital": {hospital.Issue(pki.Leaf{URIs: []string{engine}}), trust.UnknownAuthority},
		"a bad identity":                 {root.Issue(pki.Leaf{URIs: []string{engine + "?"}}), trust.BadID},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, server.secure(), client(t, &test.issued))
			eventually(t, "the log has the reason", server.logs("connection refused", `"reason":"`+string(test.want)+`"`))
			works(t, server.secure(), good)
		})
	}
	t.Run("an analyser of the hospital", func(t *testing.T) {
		works(t, server.secure(), hospital.Issue(pki.Leaf{URIs: []string{"spiffe://hospital.example/analyser/7"}}))
	})
	t.Run("no certificate", func(t *testing.T) {
		refused(t, server.secure(), client(t, nil))
		eventually(t, "the log has the reason", server.logs(`"reason":"NoCertificate"`))
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		old := client(t, &good)
		old.MaxVersion = tls.VersionTLS12
		refused(t, server.secure(), old)
		eventually(t, "the log has the reason", server.logs(`"reason":"NoAgreement"`))
	})
	for name, text := range map[string][]byte{
		"HTTP":                     []byte("GET / HTTP/1.1\r\nHost: lis\r\n\r\n"),
		"HL7":                      []byte("\x0bMSH|^~\\&|LIS|LAB|||20261126||ORU^R01|1|P|2.5\r\x1c\r"),
		"zeroes":                   make([]byte, 4096),
		"an oversized record":      append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 70000)...),
		"an endless handshake":     bytes.Repeat(append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 16379)...), 8),
		"an alert":                 {21, 3, 3, 0, 2, 2, 42},
		"application data at once": append([]byte{23, 3, 3, 0, 16}, make([]byte, 16)...),
	} {
		t.Run(name, func(t *testing.T) {
			before := server.report().Ports[0].Refused
			connection, err := net.Dial("tcp", server.secure())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = connection.Close() }()
			_, _ = connection.Write(text)
			_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
			if answer, err := io.ReadAll(connection); errors.Is(err, context.DeadlineExceeded) || len(answer) > 64 {
				t.Errorf("%d bytes, %v", len(answer), err)
			}
			eventually(t, "it is counted", func() bool { return server.report().Ports[0].Refused > before })
			works(t, server.secure(), good)
		})
	}
	if strings.Contains(server.log.String(), "MSH") {
		t.Error("the log has a payload")
	}
}

// TestOversizedRecordInside sends a record that is longer than TLS allows on a connection that stands.
func TestOversizedRecordInside(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	good := root.Issue(pki.Leaf{URIs: []string{engine}})
	raw, err := net.Dial("tcp", server.secure())
	if err != nil {
		t.Fatal(err)
	}
	connection := tls.Client(raw, client(t, &good))
	if err := say(connection, "MSH|"); err != nil {
		t.Fatal(err)
	}
	_, _ = raw.Write(append([]byte{23, 3, 3, 0xff, 0xff}, make([]byte, 65535)...))
	eventually(t, "it is ended", server.logs("connection ended", `"reason":"Protocol"`))
	works(t, server.secure(), good)
}

// TestSlowPeers holds more handshakes open than may be under way. An honest peer still gets in.
func TestSlowPeers(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	good := root.Issue(pki.Leaf{URIs: []string{engine}})
	for range 200 {
		connection, err := net.Dial("tcp", server.secure())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		_, _ = connection.Write([]byte{22, 3, 1})
	}
	began := time.Now()
	works(t, server.secure(), good)
	t.Logf("an honest peer among 200 slow ones was served after %s", time.Since(began).Round(time.Millisecond))
	eventually(t, "slow ones were sent away for it", server.logs(`"reason":"TooManyHandshakes"`))
	eventually(t, "the others were too slow at last", server.logs(`"reason":"HandshakeTimeout"`))
}

func TestWithoutIdentity(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	application := portOf(listenOn(t, "127.0.0.1:0", echo))
	good := root.Issue(pki.Leaf{URIs: []string{engine}})
	for name, test := range map[string]struct {
		take []string
		want string
	}{
		"no certificate":   {[]string{config.CertificateFile, config.KeyFile}, "NoIdentity"},
		"no key":           {[]string{config.KeyFile}, "NoIdentity"},
		"no bundle":        {[]string{"trust/" + domain + ".pem"}, "NoTrust"},
		"nothing mounted":  {[]string{config.CertificateFile, config.KeyFile, "trust/" + domain + ".pem"}, "NoIdentity"},
		"an empty bundle":  {nil, "NoTrust"},
		"half of a bundle": {nil, "NoTrust"},
	} {
		t.Run(name, func(t *testing.T) {
			server := serverPod(t, root, application)
			whole := map[string][]byte{}
			for _, file := range append(test.take, "trust/"+domain+".pem") {
				whole[file] = server.files[file]
			}
			for _, file := range test.take {
				delete(server.files, file)
			}
			switch name {
			case "an empty bundle":
				server.files["trust/"+domain+".pem"] = nil
			case "half of a bundle":
				server.files["trust/"+domain+".pem"] = root.PEM()[:100]
			}
			server.start()
			refused(t, server.secure(), client(t, &good))
			eventually(t, "the log has the reason", server.logs(fmt.Sprintf(`"reason":%q`, test.want)))
			maps.Copy(server.files, whole)
			server.mount()
			eventually(t, "it is used as soon as it is there", func() bool {
				report := server.report()
				return report.Identity != nil && report.IdentityError == "" && report.ConfigurationError == "" && report.Identity.Root != ""
			})
			works(t, server.secure(), good)
		})
	}
}

// TestTruncatedSecret mounts a Secret that was cut off while it was written. The old pair is still used.
func TestTruncatedSecret(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	good := root.Issue(pki.Leaf{URIs: []string{engine}})
	works(t, server.secure(), good)
	serial, next := server.report().Identity.Serial, root.Issue(pki.Leaf{URIs: []string{lis}})
	for name, pair := range map[string]pki.Issued{
		"the certificate is cut off": {Chain: next.Chain[:len(next.Chain)/2], Key: next.Key},
		"the key is cut off":         {Chain: next.Chain, Key: next.Key[:len(next.Key)/2]},
		"both are empty":             {Chain: []byte{}, Key: []byte{}},
		"the key is the old one":     {Chain: next.Chain, Key: server.files[config.KeyFile]},
		"another authority made it":  pki.NewAuthority(t, "other").Issue(pki.Leaf{URIs: []string{lis}}),
		"it is of somebody else":     root.Issue(pki.Leaf{URIs: []string{engine}}),
	} {
		t.Run(name, func(t *testing.T) {
			old := server.files
			defer func() { server.files = old }()
			server.files = map[string][]byte{"trust/" + domain + ".pem": root.PEM()}
			server.show(pair)
			server.mount()
			eventually(t, "it says so", func() bool { return server.report().IdentityError != "" })
			if got := server.report().Identity.Serial; got != serial {
				t.Error("another certificate is shown")
			}
			works(t, server.secure(), good)
			if strings.Contains(server.log.String(), "PRIVATE KEY") {
				t.Error("the log has a key")
			}
		})
	}
	server.show(next)
	server.mount()
	eventually(t, "a good one is used", func() bool { return server.report().Identity.Serial != serial && server.report().IdentityError == "" })
	works(t, server.secure(), good)
}

// TestBadConfiguration mounts a configuration that is wrong. The old one is still used.
func TestBadConfiguration(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	good := root.Issue(pki.Leaf{URIs: []string{engine}})
	digest := server.report().Configuration
	for name, text := range map[string]string{"cut off": `{"version": 1,`, "of another version": `{"version": 2}`, "empty": ""} {
		t.Run(name, func(t *testing.T) {
			server.files[config.FileName] = []byte(text)
			server.mount()
			eventually(t, "it says so", func() bool { return server.report().ConfigurationError != "" })
			if server.report().Configuration != digest {
				t.Error("another configuration is in use")
			}
			works(t, server.secure(), good)
			response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", server.health))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK {
				t.Errorf("readyz says %s", response.Status)
			}
		})
	}
}
