// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/metrics"
)

const (
	userAgent              = "labguard"
	maxResponseHeaderBytes = 256 << 10
)

var (
	// errSchemeNotUsed answers go-containerregistry, which tries http besides https for names that look local, and https before http
	// for hosts that are configured for plain http. It says nothing about the registry.
	errSchemeNotUsed    = errors.New("this scheme is not used for this host")
	errTooManyRedirects = errors.New("too many redirects")
	errTooLarge         = errors.New("the answer is too large")
	errSecretRedirect   = errors.New("a login was redirected to another host")
	// errHeldBack says that labguard's own limit leaves no room for a request before the deadline of the fetch. The registry was not asked.
	errHeldBack = errors.New("too many requests for this host")
)

// plaintextError says that a registry sends labguard on to plain http, which is not configured for that host.
type plaintextError struct{ host string }

func (e *plaintextError) Error() string { return "redirect to plain http at " + e.host }

// throttledError is an answer 429; after is what Retry-After asks for, zero if nothing usable.
type throttledError struct{ after time.Duration }

func (e *throttledError) Error() string { return "the registry answers 429" }

// roundTripper is the one way out: every request to a registry, a token server or a storage behind a redirect goes through it.
type roundTripper struct {
	sites        sites
	plain        http.RoundTripper
	withCA       map[string]http.RoundTripper
	maxRedirects int
	maxBytes     int64
	clock        clock.PassiveClock
	limits       *limits
}

func newRoundTripper(config Config, all sites, passive clock.PassiveClock) http.RoundTripper {
	g := newGuard(all)
	t := &roundTripper{
		sites: all, plain: newTransport(g, nil), withCA: map[string]http.RoundTripper{},
		maxRedirects: config.MaxRedirects, maxBytes: max(config.MaxManifestBytes, config.MaxConfigBytes) + 1, clock: passive,
		limits: newLimits(config),
	}
	for host, s := range all {
		if s.roots != nil {
			t.withCA[host] = newTransport(g, &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12})
		}
	}
	return transport.NewUserAgent(t, userAgent)
}

func newTransport(g guard, config *tls.Config) *http.Transport {
	return &http.Transport{
		// Proxy stays nil: see doc.go.
		DialContext:            g.dial,
		TLSClientConfig:        config,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
		// A body must hash to its digest as sent, and a small compressed one must not become a large one.
		DisableCompression: true,
	}
}

// RoundTrip implements http.RoundTripper.
func (t *roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	host := strings.ToLower(request.URL.Host)
	if err := t.check(request, host); err != nil {
		return nil, err
	}
	if err := t.limits.wait(request.Context(), host); err != nil {
		return nil, err
	}
	next, found := t.withCA[host]
	if !found {
		next = t.plain
	}
	response, err := next.RoundTrip(request)
	if err != nil {
		metrics.RegistryRequests.WithLabelValues("error").Inc()
		return nil, err
	}
	metrics.RegistryRequests.WithLabelValues(codeClass(response.StatusCode)).Inc()
	if response.StatusCode == http.StatusTooManyRequests {
		_ = response.Body.Close()
		return nil, &throttledError{after: t.retryAfter(response.Header.Get("Retry-After"))}
	}
	response.Body = &cappedBody{ReadCloser: response.Body, left: t.maxBytes}
	return response, nil
}

func (t *roundTripper) check(request *http.Request, host string) error {
	redirected := request.Response != nil
	switch insecure := t.sites.insecure(host); {
	case request.URL.Scheme == "http" && !insecure && redirected:
		return &plaintextError{host: host}
	case request.URL.Scheme == "http" && !insecure, request.URL.Scheme == "https" && insecure && !redirected:
		return errSchemeNotUsed
	}
	if !redirected {
		return nil
	}
	first, hops := request, 0
	for first.Response != nil && first.Response.Request != nil {
		first, hops = first.Response.Request, hops+1
		if hops > t.maxRedirects {
			return errTooManyRedirects
		}
	}
	// A refresh token travels in the body of a POST, which 307 and 308 would send on.
	if request.Method == http.MethodPost && !strings.EqualFold(first.URL.Host, request.URL.Host) {
		return errSecretRedirect
	}
	return nil
}

// retryAfter reads Retry-After (RFC 9110 10.2.3: seconds or a date). Zero means that there is none that can be used.
func (t *roundTripper) retryAfter(header string) time.Duration {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(t.clock.Now()))
	}
	if header != "" && strings.Trim(header, "0123456789") == "" {
		return time.Duration(math.MaxInt64) // a number of seconds beyond all measure; the caller caps it
	}
	return 0
}

func codeClass(code int) string {
	switch {
	case code == http.StatusTooManyRequests:
		return "429"
	case code >= 100 && code < 600:
		return strconv.Itoa(code/100) + "xx"
	default:
		return "error"
	}
}

// cappedBody ends with errTooLarge after so many bytes, whoever reads it.
type cappedBody struct {
	io.ReadCloser
	left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
