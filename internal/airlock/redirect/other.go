// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package redirect

import (
	"errors"
	"net"
	"net/netip"
)

// Install works on Linux alone.
func Install(Rules) error { return errors.ErrUnsupported }

// OriginalDestination works on Linux alone.
func OriginalDestination(*net.TCPConn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.ErrUnsupported
}
