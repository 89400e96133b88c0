// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// meter stands between a controller and the API server, gives each request the access of the controller, and counts those that are no mere reading.
type meter struct {
	url string

	mutex   sync.Mutex
	written []string
	dryRuns int
}

func newMeter(t *testing.T, access *rest.Config) *meter {
	t.Helper()
	target, err := url.Parse(access.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(access)
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			m.count(r.In)
			r.SetURL(target)
		},
		Transport: transport, FlushInterval: -1,
		ErrorLog: log.New(io.Discard, "", 0), // watches that the controller ends
	}
	server := httptest.NewServer(proxy)
	m.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return m
}

func (m *meter) count(request *http.Request) {
	if request.Method == http.MethodGet {
		return
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if request.URL.Query().Get("dryRun") == "All" {
		m.dryRuns++
		return
	}
	m.written = append(m.written, request.Method+" "+request.URL.Path)
}

// bookkeeping is what Flux writes of itself: the status of a Kustomization, and events.
func bookkeeping(request string) bool {
	return strings.Contains(request, "/kustomize.toolkit.fluxcd.io/v1/namespaces/"+fluxSystem+"/kustomizations/") || strings.Contains(request, "/namespaces/"+fluxSystem+"/events")
}

// writes are the requests so far that change what Git has.
func (m *meter) writes() []string {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.DeleteFunc(slices.Clone(m.written), bookkeeping)
}

// comparisons is how many dry runs there were so far: Flux compares by them.
func (m *meter) comparisons() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.dryRuns
}
