// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

const (
	// From linux/socket.h.
	familyInet, familyInet6 = 2, 10
	sizeInet, sizeInet6     = 16, 28
)

var errAddress = errors.New("no address of a socket")

// parseSocketAddress reads a struct sockaddr_in or sockaddr_in6.
func parseSocketAddress(raw []byte) (netip.AddrPort, error) {
	if len(raw) < sizeInet {
		return netip.AddrPort{}, errAddress
	}
	port := binary.BigEndian.Uint16(raw[2:])
	switch family := binary.NativeEndian.Uint16(raw); {
	case family == familyInet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port), nil
	case family == familyInet6 && len(raw) >= sizeInet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), port), nil
	}
	return netip.AddrPort{}, errAddress
}
