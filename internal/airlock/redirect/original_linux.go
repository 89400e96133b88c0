// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// originalDestination is SO_ORIGINAL_DST (linux/netfilter_ipv4.h) and IP6T_SO_ORIGINAL_DST (linux/netfilter_ipv6/ip6_tables.h) alike.
const originalDestination = 80

// OriginalDestination is where the other end of an accepted connection wanted to connect to. For a connection that no rule has redirected it is where it
// did: the address of the listener.
func OriginalDestination(connection *net.TCPConn) (netip.AddrPort, error) {
	raw, err := connection.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read the original destination: %w", err)
	}
	four := false
	if local, ok := connection.LocalAddr().(*net.TCPAddr); ok {
		four = local.IP.To4() != nil
	}
	var address []byte
	var failed error
	err = raw.Control(func(fd uintptr) {
		if four {
			address, failed = read4(int(fd))
		} else {
			address, failed = read6(int(fd))
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read the original destination: %w", err)
	}
	return parseSocketAddress(address)
}

// read4 takes an option of the right size for what it is not: the kernel fills in 16 bytes.
func read4(fd int) ([]byte, error) {
	option, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, originalDestination)
	if err != nil {
		return nil, err
	}
	return option.Multiaddr[:], nil
}

// read6 does the same for 28 bytes.
func read6(fd int) ([]byte, error) {
	option, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, originalDestination)
	if err != nil {
		return nil, err
	}
	raw := binary.NativeEndian.AppendUint16(nil, option.Addr.Family)
	raw = binary.NativeEndian.AppendUint16(raw, option.Addr.Port)
	raw = binary.NativeEndian.AppendUint32(raw, option.Addr.Flowinfo)
	raw = append(raw, option.Addr.Addr[:]...)
	return binary.NativeEndian.AppendUint32(raw, option.Addr.Scope_id), nil
}
