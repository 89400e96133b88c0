// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

const dialTimeout = 5 * time.Second

// metadata lists the addresses at which clouds serve credentials to whoever asks from inside: AWS (IPv6), Alibaba, Azure, Oracle, GCP
// (IPv6). The usual 169.254.169.254 is link-local.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("100.100.100.200"),
	netip.MustParseAddr("168.63.129.16"),
	netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("fd20:ce::254"),
}

var (
	thisNetwork    = netip.MustParsePrefix("0.0.0.0/8")      // RFC 1122 3.2.1.3; Linux takes 0.0.0.0 for itself
	broadcast      = netip.MustParseAddr("255.255.255.255")  // RFC 919
	translated     = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052: an IPv4 address in the last four bytes
	translatedHere = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215: the same within one network
	compatible     = netip.MustParsePrefix("::/96")          // RFC 4291 2.5.5.1, deprecated
	sixToFour      = netip.MustParsePrefix("2002::/16")      // RFC 3056: an IPv4 address in bytes 2 to 5
	siteLocal      = netip.MustParsePrefix("fec0::/10")      // RFC 3879, deprecated
)

// refusedKind says what kind of address it is that labguard does not call by itself; empty if it may be called.
func refusedKind(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	switch {
	case !address.IsValid():
		return "an invalid address"
	case address.IsUnspecified(), address.Is4() && thisNetwork.Contains(address):
		return "an unspecified address"
	case address.IsLoopback():
		return "a loopback address"
	case address.IsLinkLocalUnicast(), siteLocal.Contains(address):
		return "a link-local address"
	case address.IsMulticast(), address == broadcast:
		return "a multicast address"
	}
	if slices.Contains(metadata, address) {
		return "the address of a metadata service"
	}
	if inner, ok := embedded(address); ok {
		return refusedKind(inner)
	}
	return ""
}

// embedded is the IPv4 address that an IPv6 address stands for, so that no translation leads around the check.
func embedded(address netip.Addr) (netip.Addr, bool) {
	if !address.Is6() {
		return netip.Addr{}, false
	}
	b := address.As16()
	switch {
	case translated.Contains(address), translatedHere.Contains(address), compatible.Contains(address):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(address):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// addressError says that a host is at an address that labguard does not call.
type addressError struct {
	host, kind string
}

func (e *addressError) Error() string { return fmt.Sprintf("%s is at %s", e.host, e.kind) }

// guard dials, and looks at the address after the name was resolved and before the connection is made, so that neither a name that
// changes its address nor a redirect nor a token server leads to a refused one.
type guard struct {
	// allowed maps host:port to the addresses that the platform team means for it.
	allowed map[string][]netip.Prefix
}

func newGuard(all sites) guard {
	g := guard{allowed: make(map[string][]netip.Prefix, len(all))}
	for _, s := range all {
		g.allowed[s.dialAddress()] = s.AllowedAddresses
	}
	return g
}

func (g guard) dial(ctx context.Context, network, target string) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout:   dialTimeout,
		KeepAlive: 30 * time.Second,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return g.check(target, address)
		},
	}
	return dialer.DialContext(ctx, network, target)
}

func (g guard) check(target, address string) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil {
		return &addressError{host: target, kind: "an invalid address"}
	}
	kind := refusedKind(resolved.Addr())
	if kind == "" {
		return nil
	}
	for _, prefix := range g.allowed[strings.ToLower(target)] {
		if prefix.Contains(resolved.Addr().Unmap().WithZone("")) {
			return nil
		}
	}
	return &addressError{host: target, kind: kind}
}
