// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/posture"
)

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	start    = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	built    = time.Date(2026, time.January, 10, 8, 0, 0, 0, time.UTC)
)

const (
	ociManifest   = "application/vnd.oci.image.manifest.v1+json"
	ociIndex      = "application/vnd.oci.image.index.v1+json"
	ociConfig     = "application/vnd.oci.image.config.v1+json"
	dockerImage   = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig  = "application/vnd.docker.container.image.v1+json"
	schema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

type object = map[string]any

// fakeRegistry serves what a test puts into it, over plain http on loopback, and counts what it is asked.
type fakeRegistry struct {
	*httptest.Server
	// intercept may answer a request itself; it then returns true.
	intercept func(w http.ResponseWriter, r *http.Request) bool

	mu        sync.Mutex
	requests  []string
	manifests map[string]document
	blobs     map[string][]byte
}

type document struct {
	body        []byte
	contentType string
}

func newFakeRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	f := &fakeRegistry{manifests: map[string]document{}, blobs: map[string][]byte{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeRegistry) host() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.URL, "https://"), "http://")
}

func (f *fakeRegistry) site() RegistryConfig {
	return RegistryConfig{Host: f.host(), Insecure: true, AllowedAddresses: loopback}
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	f.mu.Unlock()
	if f.intercept != nil && f.intercept(w, r) {
		return
	}
	f.serve(w, r)
}

func (f *fakeRegistry) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	if path == "" {
		return
	}
	if repository, digest, found := strings.Cut(path, "/blobs/"); found && repository != "" {
		if body, known := f.blobs[digest]; known {
			_, _ = w.Write(body)
			return
		}
	}
	if repository, identifier, found := strings.Cut(path, "/manifests/"); found {
		if known, ok := f.manifests[repository+" "+identifier]; ok {
			w.Header().Set("Content-Type", known.contentType)
			w.Header().Set("Docker-Content-Digest", digestOf(known.body))
			w.Header().Set("Content-Length", fmt.Sprint(len(known.body)))
			if r.Method == http.MethodGet {
				_, _ = w.Write(known.body)
			}
			return
		}
	}
	http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, http.StatusNotFound)
}

// put stores a manifest under its digest and, if given, a tag.
func (f *fakeRegistry) put(repository, tag, contentType string, body []byte) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	digest := digestOf(body)
	f.manifests[repository+" "+digest] = document{body: body, contentType: contentType}
	if tag != "" {
		f.manifests[repository+" "+tag] = document{body: body, contentType: contentType}
	}
	return digest
}

func (f *fakeRegistry) blob(body []byte) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[digestOf(body)] = body
	return digestOf(body)
}

// image stores an image whose configuration is given and returns its digest.
func (f *fakeRegistry) image(repository, tag string, config object) string {
	return f.typedImage(repository, tag, ociManifest, ociConfig, config, nil)
}

func (f *fakeRegistry) typedImage(repository, tag, manifestType, configType string, config, annotations object) string {
	raw := encode(config)
	return f.put(repository, tag, manifestType, encode(object{
		"schemaVersion": 2, "mediaType": manifestType, "layers": []any{}, "annotations": annotations,
		"config": object{"mediaType": configType, "digest": f.blob(raw), "size": len(raw)},
	}))
}

func (f *fakeRegistry) index(tag, mediaType string, annotations object, entries ...object) string {
	return f.put("lis", tag, mediaType, encode(object{
		"schemaVersion": 2, "mediaType": mediaType, "manifests": entries, "annotations": annotations,
	}))
}

func (f *fakeRegistry) count(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	count := 0
	for _, request := range f.requests {
		if strings.HasPrefix(request, prefix) {
			count++
		}
	}
	return count
}

func indexEntry(digest, os, architecture string) object {
	return object{"mediaType": ociManifest, "digest": digest, "size": 1, "platform": object{"os": os, "architecture": architecture}}
}

func configAt(created time.Time) object {
	return object{"created": created.Format(time.RFC3339), "os": "linux", "architecture": "amd64"}
}

func encode(value any) []byte {
	raw, err := json.Marshal(value)
	if err != nil {
		return []byte(err.Error())
	}
	return raw
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// running starts a resolver that stops with the test.
func running(t *testing.T, config Config, secrets SecretReader, passive clock.PassiveClock) *Resolver {
	t.Helper()
	if config.Random == nil {
		config.Random = func() float64 { return 0 }
	}
	resolver, err := New(config, secrets, passive)
	if err != nil {
		t.Fatal(err)
	}
	run(t, resolver)
	return resolver
}

func run(t *testing.T, resolver *Resolver) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- resolver.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Errorf("stop the resolver: %v", err)
		}
	})
}

func fakeClock() *testingclock.FakeClock { return testingclock.NewFakeClock(start) }

func ask(reference string) posture.ImageQuery { return posture.ImageQuery{Reference: reference} }

// resolve waits for an answer as long as a healthy test can need.
func resolve(t *testing.T, resolver *Resolver, q posture.ImageQuery) posture.ImageFacts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	facts := resolver.Resolve(ctx, q)
	if ctx.Err() != nil {
		t.Fatalf("no answer about %s", q.Reference)
	}
	return facts
}

// fakeSecrets is a SecretReader from maps.
type fakeSecrets struct {
	// secrets maps namespace/name to a docker config, accounts namespace/name to names of pull secrets.
	secrets   map[string][]byte
	accounts  map[string][]string
	forbidden map[string]bool

	mu        sync.Mutex
	reads     int
	forgotten []string
}

func (f *fakeSecrets) PullSecret(_ context.Context, namespace, name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if f.forbidden[namespace] {
		return nil, fmt.Errorf("read pull secret: %w", ErrNotReadable)
	}
	return f.secrets[namespace+"/"+name], nil
}

func (f *fakeSecrets) ServiceAccountPullSecrets(_ context.Context, namespace, name string) ([]string, error) {
	if f.forbidden[namespace] {
		return nil, fmt.Errorf("read service account: %w", ErrNotReadable)
	}
	return f.accounts[namespace+"/"+name], nil
}

func (f *fakeSecrets) Forget(namespace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgotten = append(f.forgotten, namespace)
}

func dockerConfigFor(host, username, password string) []byte {
	return encode(object{"auths": object{host: object{"username": username, "password": password}}})
}
