// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package distribution

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/token" // the access controller that the configuration names
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory" // the storage that the configuration names
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sirupsen/logrus"
)

// Username and Password are what the token server takes. Nobody gets a token without them.
const (
	Username = "lab"
	Password = "a password of this test"
)

const tokenPath = "/token"

// quiet keeps the registry from writing a line for each request into the output of the tests.
var quiet = sync.OnceFunc(func() { logrus.SetLevel(logrus.PanicLevel) })

// Registry is one that runs until its test ends.
type Registry struct {
	server *httptest.Server

	mu       sync.Mutex
	requests []string
}

// Start runs a registry without any image.
func Start(t testing.TB) *Registry {
	t.Helper()
	quiet()
	r := &Registry{server: httptest.NewUnstartedServer(nil)}
	tokens, jwks := newTokenServer(t, r.Host())
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"inmemory":    configuration.Parameters{},
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
		Auth: configuration.Auth{"token": configuration.Parameters{
			"realm": "http://" + r.Host() + tokenPath, "issuer": issuer, "service": r.Host(), "jwks": jwks,
		}},
	}
	config.HTTP.Secret = "no secret: the registry ends with its test"
	app := handlers.NewApp(t.Context(), config)
	routes := http.NewServeMux()
	routes.Handle(tokenPath, tokens)
	routes.Handle("/", app)
	r.server.Config.Handler = r.counted(routes)
	r.server.Start()
	t.Cleanup(func() {
		r.server.Close()
		if err := app.Shutdown(); err != nil {
			t.Errorf("stop the registry: %v", err)
		}
	})
	return r
}

func (r *Registry) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.Path)
		r.mu.Unlock()
		next.ServeHTTP(w, request)
	})
}

// Host is host:port, as it stands in references.
func (r *Registry) Host() string { return r.server.Listener.Addr().String() }

// Requests is how many requests have come, those to the token server and those of Push included.
func (r *Registry) Requests() int64 { return int64(len(r.Log())) }

// Log lists the requests that have come, as method and path.
func (r *Registry) Log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.requests...)
}

// Push puts an image (v1.Image) or an index with its images (v1.ImageIndex) under a tag such as lab/lis:v1, and returns its digest.
func (r *Registry) Push(t testing.TB, repositoryAndTag string, content remote.Taggable) string {
	t.Helper()
	tag, err := name.NewTag(r.Host()+"/"+repositoryAndTag, name.Insecure)
	if err != nil {
		t.Fatalf("parse %s: %v", repositoryAndTag, err)
	}
	options := []remote.Option{
		remote.WithContext(t.Context()), remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: Username, Password: Password})),
	}
	var digest v1.Hash
	switch content := content.(type) {
	case v1.Image:
		if err = remote.Write(tag, content, options...); err == nil {
			digest, err = content.Digest()
		}
	case v1.ImageIndex:
		if err = remote.WriteIndex(tag, content, options...); err == nil {
			digest, err = content.Digest()
		}
	default:
		t.Fatalf("push %s: %T is neither an image nor an index", repositoryAndTag, content)
	}
	if err != nil {
		t.Fatalf("push %s: %v", repositoryAndTag, err)
	}
	return digest.String()
}
