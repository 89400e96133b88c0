// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Sniff looks at all packets of an interface, in both directions, until the context ends. It takes NET_RAW. ready is called once nothing is missed.
func Sniff(ctx context.Context, device string, port uint16, ready func()) (Wire, error) {
	found, err := net.InterfaceByName(device)
	if err != nil {
		return Wire{}, err
	}
	all := int(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
	if err != nil {
		return Wire{}, fmt.Errorf("open a packet socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), "packets of "+device)
	defer func() { _ = file.Close() }()
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: found.Index}); err != nil {
		return Wire{}, fmt.Errorf("bind to %s: %w", device, err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(past) })
	defer stop()
	ready()
	var seen Wire
	buffer := make([]byte, 1<<17)
	for {
		n, err := file.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// What was there before the end.
			for n, err = unix.Read(fd, buffer); err == nil && n > 0; n, err = unix.Read(fd, buffer) {
				seen.Add(buffer[:n], port)
			}
			return seen, nil
		}
		if err != nil {
			return seen, fmt.Errorf("read packets of %s: %w", device, err)
		}
		seen.Add(buffer[:n], port)
	}
}
