// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Wire is what was seen on an interface.
type Wire struct {
	// Packets counts TCP packets that carry data, Plaintext those with the marker of an HL7 message, TLS those that begin with a TLS record.
	Packets, Plaintext, TLS int
	// Ports are the lower ports of the connections that carried data.
	Ports map[int]int
}

// Listen reads the wire of an interface with a raw socket until the time is over. It needs CAP_NET_RAW.
func Listen(name string, during time.Duration) (Wire, error) {
	seen := Wire{Ports: map[int]int{}}
	link, err := net.InterfaceByName(name)
	if err != nil {
		return seen, fmt.Errorf("find interface %s: %w", name, err)
	}
	const all = syscall.ETH_P_ALL>>8 | syscall.ETH_P_ALL<<8&0xff00 // in network order
	socket, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM, all)
	if err != nil {
		return seen, fmt.Errorf("open a raw socket: %w", err)
	}
	defer func() { _ = syscall.Close(socket) }()
	if err := syscall.Bind(socket, &syscall.SockaddrLinklayer{Protocol: all, Ifindex: link.Index}); err != nil {
		return seen, fmt.Errorf("bind to interface %s: %w", name, err)
	}
	timeout := syscall.NsecToTimeval(int64(100 * time.Millisecond))
	if err := syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &timeout); err != nil {
		return seen, fmt.Errorf("set the timeout: %w", err)
	}
	buffer := make([]byte, 1<<17)
	for end := clockNow().Add(during); clockNow().Before(end); {
		n, _, err := syscall.Recvfrom(socket, buffer, 0)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		case err != nil:
			return seen, fmt.Errorf("read interface %s: %w", name, err)
		default:
			seen.packet(buffer[:n])
		}
	}
	return seen, nil
}

const (
	versionBits, ipv4, protocolTCP = 4, 4, 6
	handshake, applicationData     = 0x16, 0x17
)

// packet looks at one IPv4 packet.
func (w *Wire) packet(packet []byte) {
	if len(packet) < 20 || packet[0]>>versionBits != ipv4 || packet[9] != protocolTCP {
		return
	}
	total, header := int(binary.BigEndian.Uint16(packet[2:])), int(packet[0]&0xf)*4
	if total > len(packet) || header+20 > total {
		return
	}
	segment := packet[header:total]
	data := segment[min(int(segment[12]>>4)*4, len(segment)):]
	if len(data) == 0 {
		return
	}
	w.Packets++
	w.Ports[int(min(binary.BigEndian.Uint16(segment), binary.BigEndian.Uint16(segment[2:])))]++
	switch {
	case bytes.Contains(data, []byte(Marker)):
		w.Plaintext++
	case len(data) > 2 && (data[0] == handshake || data[0] == applicationData) && data[1] == 3:
		w.TLS++
	}
}
