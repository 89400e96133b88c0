// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// answers has a server answer every request the same way.
func answers(status int, header http.Header, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// replaces has a server send another body for GETs whose path holds a part.
func replaces(part, contentType, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, part) {
			return false
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
		return true
	}
}

func TestWhatGoesWrongIsNamed(t *testing.T) {
	tests := map[string]struct {
		intercept func(http.ResponseWriter, *http.Request) bool
		tag       string
		reason    string
		detail    string
	}{
		"absent image": {tag: "absent", reason: v1alpha1.ReasonImageNotFound, detail: "does not have the image"},
		"server error": {intercept: answers(500, nil, "oops"), reason: v1alpha1.ReasonRegistryUnreachable, detail: "answers 500"},
		"server error at length": {intercept: func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Path != "/v2/" && answers(502, nil, strings.Repeat("x", 1<<20))(w, r)
		}, reason: v1alpha1.ReasonRegistryUnreachable, detail: "answers 502"},
		"login wanted": {
			intercept: answers(401, http.Header{"Www-Authenticate": {`Basic realm="lab"`}}, ""),
			reason:    v1alpha1.ReasonCredentialsNotReadable, detail: "wants credentials",
		},
		"forbidden":      {intercept: answers(403, nil, ""), reason: v1alpha1.ReasonCredentialsNotReadable, detail: "wants credentials"},
		"throttled":      {intercept: answers(429, nil, ""), reason: v1alpha1.ReasonRegistryThrottled, detail: "429"},
		"a broken login": {intercept: answers(401, http.Header{"Www-Authenticate": {"Bearer service=x"}}, ""), reason: v1alpha1.ReasonRegistryUnreachable, detail: "login"},
		"endless redirect": {
			intercept: answers(302, http.Header{"Location": {"/v2/elsewhere"}}, ""),
			reason:    v1alpha1.ReasonRegistryUnreachable, detail: "too many redirects",
		},
		"redirect to link-local": {
			intercept: answers(302, http.Header{"Location": {"https://169.254.169.254/latest"}}, ""),
			reason:    v1alpha1.ReasonRegistryAddressRefused, detail: "169.254.169.254:443 is at a link-local address",
		},
		"redirect to plain http": {
			intercept: answers(302, http.Header{"Location": {"http://169.254.169.254/latest"}}, ""),
			reason:    v1alpha1.ReasonRegistryAddressRefused, detail: "plain http",
		},
		"redirect to loopback elsewhere": {
			intercept: answers(307, http.Header{"Location": {"https://127.0.0.1:1/"}}, ""),
			reason:    v1alpha1.ReasonRegistryAddressRefused, detail: "loopback",
		},
		"login at a metadata service": {
			intercept: answers(401, http.Header{"Www-Authenticate": {`Bearer realm="https://localhost:1/token",service="x"`}}, ""),
			reason:    v1alpha1.ReasonRegistryAddressRefused, detail: "loopback",
		},
		"another manifest":               {intercept: replaces("/manifests/", ociManifest, `{"schemaVersion":2}`), reason: v1alpha1.ReasonInvalidImage, detail: "not the one that the digest names"},
		"another config":                 {intercept: replaces("/blobs/", ociConfig, `{}`), reason: v1alpha1.ReasonInvalidImage, detail: "configuration that the registry sent is not the one"},
		"schema 1 by its type":           {intercept: replaces("/manifests/", schema1Signed, `{}`), reason: v1alpha1.ReasonInvalidImage, detail: "schema 1"},
		"manifest no JSON":               {tag: "no-json", reason: v1alpha1.ReasonInvalidImage, detail: "cannot be parsed"},
		"manifest of nothing":            {tag: "nothing", reason: v1alpha1.ReasonInvalidImage, detail: "neither"},
		"image and index":                {tag: "both", reason: v1alpha1.ReasonInvalidImage, detail: "at once"},
		"index that says it is an image": {tag: "disguised", reason: v1alpha1.ReasonInvalidImage, detail: "media type"},
		"schema 1 in the body":           {tag: "schema1", reason: v1alpha1.ReasonInvalidImage, detail: "schema 1"},
		"config no JSON":                 {tag: "config-no-json", reason: v1alpha1.ReasonInvalidImage, detail: "configuration cannot be parsed"},
		"config said to be huge":         {tag: "config-huge", reason: v1alpha1.ReasonInvalidImage, detail: "more than"},
		"an index without end":           {tag: "deep", reason: v1alpha1.ReasonInvalidImage, detail: "too deep"},
		"connection broken off": {intercept: func(w http.ResponseWriter, _ *http.Request) bool {
			if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = connection.Close()
			}
			return true
		}, reason: v1alpha1.ReasonRegistryUnreachable, detail: "broke the connection off"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := newFakeRegistry(t)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			putBroken(server)
			server.intercept = test.intercept
			resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
			tag := test.tag
			if tag == "" {
				tag = "v1"
			}
			facts := resolve(t, resolver, ask(server.host()+"/lis:"+tag))
			if facts.Unknown != test.reason || !strings.Contains(facts.Detail, test.detail) || !strings.Contains(facts.Detail, server.host()) {
				t.Errorf("%s: %s\nwant %s with %q and the host", facts.Unknown, facts.Detail, test.reason, test.detail)
			}
			if len(facts.Detail) > 300 || strings.Contains(facts.Detail, "\n") || facts.Digest != "" {
				t.Errorf("a detail is one line below 300 characters, without facts: %+v", facts)
			}
		})
	}
}

func putBroken(server *fakeRegistry) {
	server.image("lis", "v1", configAt(built))
	server.put("lis", "no-json", ociManifest, []byte("<html>"))
	server.put("lis", "nothing", ociManifest, []byte("{}"))
	server.put("lis", "schema1", "application/json", []byte(`{"schemaVersion":1}`))
	server.put("lis", "both", ociManifest, encode(object{"config": object{}, "manifests": []any{}}))
	server.put("lis", "disguised", ociIndex, encode(object{"mediaType": ociManifest, "manifests": []any{}}))
	noJSON := []byte("<html>")
	server.put("lis", "config-no-json", ociManifest, encode(object{
		"config": object{"mediaType": ociConfig, "digest": server.blob(noJSON), "size": len(noJSON)},
	}))
	server.put("lis", "config-huge", ociManifest, encode(object{
		"config": object{"mediaType": ociConfig, "digest": digestOf(nil), "size": 1 << 40},
	}))
	deep := server.image("lis", "", configAt(built))
	for range 3 {
		deep = server.index("deep", ociIndex, nil, indexEntry(deep, "linux", "amd64"))
	}
}

func TestAReferenceThatIsNoneIsNamedWithoutAFetch(t *testing.T) {
	resolver, err := New(Config{}, nil, fakeClock())
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{"", "UPPER/case", "lis:a b", "lis@sha256:short", "https://lab.example/lis", "lab.example/../v2/lis", "lab.example/lis/", "lab.example/lis:..", strings.Repeat("a", 2000)} {
		if facts, known := resolver.Lookup(ask(reference)); !known || facts.Unknown != v1alpha1.ReasonInvalidReference {
			t.Errorf("%.40q: known %t, %+v", reference, known, facts)
		}
	}
}

func TestAnAddressThatIsNotMeantIsNeverDialed(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int32
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_ = connection.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := running(t, Config{Registries: []RegistryConfig{
		{Host: "127.0.0.1:" + port, Insecure: true}, {Host: "127.0.0.2:" + port, AllowedAddresses: loopback[1:]},
	}}, nil, fakeClock())
	for _, host := range []string{"127.0.0.1:" + port, "127.0.0.2:" + port, "localhost:" + port, "169.254.169.254", "[::1]:" + port, "0.0.0.0:" + port} {
		facts := resolve(t, resolver, ask(host+"/lis:v1"))
		if facts.Unknown != v1alpha1.ReasonRegistryAddressRefused || !strings.Contains(facts.Detail, "allowedAddresses") {
			t.Errorf("%s: %s: %s", host, facts.Unknown, facts.Detail)
		}
	}
	if got := accepted.Load(); got != 0 {
		t.Errorf("%d connections were made", got)
	}
}

func TestARegistryThatIsAwayIsNamedAndCostsOnce(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	_ = listener.Close()
	resolver := running(t, Config{Registries: []RegistryConfig{{Host: host, Insecure: true, AllowedAddresses: loopback}}}, nil, fakeClock())
	facts := resolve(t, resolver, ask(host+"/lis:v1"))
	if facts.Unknown != v1alpha1.ReasonRegistryUnreachable || facts.Detail != "no connection to registry "+host {
		t.Errorf("%s: %s", facts.Unknown, facts.Detail)
	}
}

func TestANameThatIsNoneIsNamed(t *testing.T) {
	fail := classify("lab.example", fmt.Errorf("ask: %w", &net.OpError{Op: "dial", Err: &net.DNSError{Name: "lab.example", IsNotFound: true}}), false)
	if fail.reason != v1alpha1.ReasonRegistryUnreachable || !strings.Contains(fail.detail, "cannot be resolved") {
		t.Errorf("%+v", fail)
	}
}

func TestASilentRegistryCostsItsTimeoutOnceForAllItsImages(t *testing.T) {
	server := newFakeRegistry(t)
	server.intercept = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}, Timeout: 100 * time.Millisecond, Workers: 1}, nil, fakeClock())
	for i := range 20 {
		facts := resolve(t, resolver, ask(fmt.Sprintf("%s/lis:v%d", server.host(), i)))
		if facts.Unknown != v1alpha1.ReasonRegistryUnreachable || !strings.Contains(facts.Detail, "in time") {
			t.Fatalf("%s: %s", facts.Unknown, facts.Detail)
		}
	}
	if got := server.count(""); got != 1 {
		t.Errorf("%d requests to a silent registry, want 1", got)
	}
}

func TestAFailureIsRememberedForAWhile(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	server.intercept = answers(500, nil, "")
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	query := ask(server.host() + "/lis:v1")
	for range 50 {
		resolve(t, resolver, query)
	}
	if got := server.count(""); got != 1 {
		t.Errorf("%d requests within the time, want 1", got)
	}
	passive.Step(31 * time.Second)
	resolve(t, resolver, query)
	if got := server.count(""); got != 2 {
		t.Errorf("%d requests after the time, want 2", got)
	}
}

func TestRetryAfterIsHonouredWithinReason(t *testing.T) {
	tests := map[string]time.Duration{
		"":     30 * time.Second,
		"120":  2 * time.Minute,
		"0":    30 * time.Second,
		"-1":   30 * time.Second,
		"soon": 30 * time.Second,
		// "retrying in 485009h" is what a careless reader made of one of these.
		"1746032400":                 10 * time.Minute,
		"99999999999999999999999999": 10 * time.Minute,
		start.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		start.Add(-time.Hour).Format(http.TimeFormat):       30 * time.Second,
		start.AddDate(50, 0, 0).Format(http.TimeFormat):     10 * time.Minute,
	}
	for header, want := range tests {
		t.Run(header, func(t *testing.T) {
			server, passive := newFakeRegistry(t), fakeClock()
			server.intercept = answers(429, http.Header{"Retry-After": {header}}, "")
			resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
			resolve(t, resolver, ask(server.host()+"/lis:v1"))
			passive.Step(want - time.Second)
			// Another image of the same registry waits as well.
			for _, tag := range []string{"v1", "v2"} {
				if facts := resolve(t, resolver, ask(server.host()+"/lis:"+tag)); facts.Unknown != v1alpha1.ReasonRegistryThrottled {
					t.Errorf("%s: %+v", tag, facts)
				}
			}
			if got := server.count(""); got != 1 {
				t.Errorf("%d requests before the time, want 1", got)
			}
			passive.Step(2 * time.Second)
			resolve(t, resolver, ask(server.host()+"/lis:v1"))
			if got := server.count(""); got != 2 {
				t.Errorf("%d requests after the time, want 2", got)
			}
		})
	}
}

func TestAHugeBodyIsNotRead(t *testing.T) {
	const size = 100 << 20
	for name, announced := range map[string]bool{"announced": true, "unannounced": false} {
		for _, part := range []string{"/manifests/", "/blobs/", "/v2/"} {
			t.Run(name+part, func(t *testing.T) {
				var sent atomic.Int64
				finished := make(chan struct{})
				server := newFakeRegistry(t)
				server.image("lis", "v1", configAt(built))
				server.intercept = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, part) && !strings.Contains(r.URL.Path[1:], part) {
						return false
					}
					defer close(finished)
					if announced {
						w.Header().Set("Content-Length", fmt.Sprint(size))
					}
					sendUntilClosed(w, size, &sent)
					return true
				}
				resolver := running(t, Config{Registries: []RegistryConfig{server.site()}, Timeout: 5 * time.Second}, nil, fakeClock())
				facts := resolve(t, resolver, ask(server.host()+"/lis:v1"))
				<-finished
				if part != "/v2/" && facts.Unknown != v1alpha1.ReasonInvalidImage {
					t.Errorf("%s: %s", facts.Unknown, facts.Detail)
				}
				// The limit is 4 or 10 MiB; the rest is what the buffers of both ends take.
				if got := sent.Load(); got > 40<<20 {
					t.Errorf("the server could send %d MiB", got>>20)
				}
			})
		}
	}
}

func sendUntilClosed(w io.Writer, size int64, sent *atomic.Int64) {
	chunk := bytes.Repeat([]byte(" "), 64<<10)
	for sent.Load() < size {
		n, err := w.Write(chunk)
		sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func TestACAMakesAnHTTPSRegistryTrusted(t *testing.T) {
	plain := newFakeRegistry(t)
	digest := plain.image("lis", "v1", configAt(built))
	secure := httptest.NewUnstartedServer(plain)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	host := strings.TrimPrefix(secure.URL, "https://")
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))

	resolver := running(t, Config{Registries: []RegistryConfig{{Host: host, AllowedAddresses: loopback, CA: ca}}}, nil, fakeClock())
	if facts := resolve(t, resolver, ask(host+"/lis:v1")); facts.Digest != digest {
		t.Errorf("with the CA: %+v", facts)
	}
	resolver = running(t, Config{Registries: []RegistryConfig{{Host: host, AllowedAddresses: loopback, CAFile: writeFile(t, ca)}}}, nil, fakeClock())
	if facts := resolve(t, resolver, ask(host+"/lis:v1")); facts.Digest != digest {
		t.Errorf("with the CA from a file: %+v", facts)
	}
	resolver = running(t, Config{Registries: []RegistryConfig{{Host: host, AllowedAddresses: loopback}}}, nil, fakeClock())
	if facts := resolve(t, resolver, ask(host+"/lis:v1")); facts.Unknown != v1alpha1.ReasonRegistryUnreachable || !strings.Contains(facts.Detail, "not trusted") {
		t.Errorf("without the CA: %+v", facts)
	}
	resolver = running(t, Config{Registries: []RegistryConfig{{Host: plain.host(), AllowedAddresses: loopback}}}, nil, fakeClock())
	before := plain.count("")
	if facts := resolve(t, resolver, ask(plain.host()+"/lis:v1")); facts.Unknown != v1alpha1.ReasonRegistryUnreachable || !strings.Contains(facts.Detail, "does not speak https") {
		t.Errorf("plain http that is not configured: %+v", facts)
	}
	if plain.count("") != before {
		t.Error("a registry was asked by plain http without being configured for it")
	}
}

func TestMirrorsAreAskedFirst(t *testing.T) {
	upstream, mirror := newFakeRegistry(t), newFakeRegistry(t)
	copied := mirror.image("proxy/lis", "v1", configAt(built))
	original := upstream.image("lis", "v2", configAt(built.Add(time.Hour)))
	site := upstream.site()
	site.Mirrors = []string{mirror.host() + "/proxy"}
	resolver := running(t, Config{Registries: []RegistryConfig{site, mirror.site()}}, nil, fakeClock())
	if facts := resolve(t, resolver, ask(upstream.host()+"/lis:v1")); facts.Digest != copied || upstream.count("") != 0 {
		t.Errorf("what the mirror has: %+v, %d requests upstream", facts, upstream.count(""))
	}
	if facts := resolve(t, resolver, ask(upstream.host()+"/lis:v2")); facts.Digest != original {
		t.Errorf("what only the registry has: %+v", facts)
	}
	upstream.intercept = answers(503, nil, "")
	if facts := resolve(t, resolver, ask(upstream.host()+"/lis:v3")); facts.Unknown != v1alpha1.ReasonImageNotFound {
		t.Errorf("the mirror's answer outweighs a registry that is away: %+v", facts)
	}
}

func TestASilentMirrorLeavesTimeForTheRegistry(t *testing.T) {
	upstream, mirror := newFakeRegistry(t), newFakeRegistry(t)
	digest := upstream.image("lis", "v1", configAt(built))
	mirror.intercept = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	site := upstream.site()
	site.Mirrors = []string{mirror.host()}
	resolver := running(t, Config{Registries: []RegistryConfig{site, mirror.site()}, Timeout: 2 * time.Second}, nil, fakeClock())
	if facts := resolve(t, resolver, ask(upstream.host()+"/lis:v1")); facts.Digest != digest {
		t.Errorf("%+v", facts)
	}
}

func TestACancelledFetchSaysNothingAboutTheRegistry(t *testing.T) {
	fail := classify("lab.example", fmt.Errorf("ask: %w", context.Canceled), false)
	if !fail.aborted || fail.reason != v1alpha1.ReasonNotResolved {
		t.Errorf("%+v", fail)
	}
}

func TestAnErrorTextNeverReachesTheAnswer(t *testing.T) {
	for _, err := range []error{errors.New("hunter2"), fmt.Errorf("no token in bearer response:\n%s", "hunter2"), &net.OpError{Op: "dial", Err: errors.New("hunter2")}} {
		if fail := classify("lab.example", err, true); strings.Contains(fail.detail, "hunter2") {
			t.Errorf("%v: %s", err, fail.detail)
		}
	}
}
