// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/report"
)

const (
	// within bounds one question as a whole.
	within = 5 * time.Second
	// maxHeader bounds the header of an answer, maxFailure a reason.
	maxHeader  = 16 << 10
	maxFailure = 200
)

// fetch reads the report of the airlock with an identity at an address.
func (a *Asker) fetch(ctx context.Context, address, id string) (report.Report, error) {
	if kind := a.refuses(address); kind != "" {
		return report.Report{}, fmt.Errorf("%s is %s, which labguard does not ask", address, kind)
	}
	identity, err := a.config.Identity()
	if err != nil {
		return report.Report{}, fmt.Errorf("labguard has no identity: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	transport := &http.Transport{
		DialContext: a.config.Dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		TLSClientConfig: a.handshake(identity, id),
	}
	asking := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	place := url.URL{Scheme: "https", Host: net.JoinHostPort(address, strconv.Itoa(config.AdminPort)), Path: report.Path}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place.String(), nil)
	if err != nil {
		return report.Report{}, errors.New("the address is none")
	}
	response, err := asking.Do(request)
	if err != nil {
		return report.Report{}, why(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return report.Report{}, fmt.Errorf("it answers %d", response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, report.MaxBytes+1))
	if err != nil {
		return report.Report{}, why(ctx, err)
	}
	return decode(content)
}

// handshake is TLS in which the peer proves one SPIFFE ID under the roots of our trust domain. Names and addresses prove nothing.
func (a *Asker) handshake(identity *tls.Certificate, id string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*identity}, NextProtos: []string{"http/1.1"},
		InsecureSkipVerify: true, //nolint:gosec // G402: VerifyConnection verifies: Go would look for a DNS name, and pods have none
		VerifyConnection: func(state tls.ConnectionState) error {
			return verify(state.PeerCertificates, id, a.config.TrustDomain, a.config.Roots(), a.config.Clock.Now())
		},
	}
}

// why is the reason of a failure without the address, which varies from pod to pod, and without words of the peer.
func why(ctx context.Context, err error) error {
	var refusal *untrustedError
	var operation *net.OpError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("it does not answer within %s", within)
	case errors.As(err, &operation) && operation.Op == "dial":
		return errors.New("no connection to its admin port")
	case errors.As(err, &operation) && operation.Op == "remote error":
		return errors.New("it refuses labguard's certificate, or TLS 1.3")
	default:
		return errors.New("what answers at its admin port speaks no proper HTTP over TLS 1.3")
	}
}

// oneLine is a text without anything that a terminal would act on, and not too long.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), maxFailure)]
}

// metadata are addresses at which clouds serve credentials and that are not link-local.
var metadata = []netip.Addr{netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16")}

// refuses says what kind of address it is that is not asked, "" if it is.
func (a *Asker) refuses(text string) string {
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return "no address"
	}
	address = address.Unmap()
	switch {
	case address.IsUnspecified():
		return "no address of a pod"
	case address.IsLoopback():
		return "a loopback address"
	case address.IsLinkLocalUnicast():
		return "a link-local address"
	case address.IsMulticast():
		return "a multicast address"
	case slices.Contains(metadata, address):
		return "an address of a metadata service"
	case slices.ContainsFunc(a.config.Refused, func(block netip.Prefix) bool { return block.Contains(address) }):
		return "an address of a node"
	}
	return ""
}
