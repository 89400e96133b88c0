// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"encoding/binary"
)

// Wire is what was seen of a port on an interface.
type Wire struct {
	// Packets have a payload. Plaintext ones contain Marker, Records begin with a TLS record; the others are neither, such as the rest of a record.
	Packets   int `json:"packets"`
	Plaintext int `json:"plaintext"`
	Records   int `json:"records"`
	Others    int `json:"others"`
}

// Add takes one Ethernet frame in, if it belongs to the port.
func (w *Wire) Add(frame []byte, port uint16) {
	payload := payloadOf(frame, port)
	if len(payload) == 0 {
		return
	}
	w.Packets++
	switch {
	case bytes.Contains(payload, []byte(Marker)):
		w.Plaintext++
	case len(payload) >= 3 && payload[0] >= 20 && payload[0] <= 23 && payload[1] == 3 && payload[2] <= 4:
		w.Records++
	default:
		w.Others++
	}
}

const (
	ethernetHeader = 14
	etherTypeIPv4  = 0x0800
	etherTypeIPv6  = 0x86dd
	protocolTCP    = 6
	ipv6Header     = 40
)

// payloadOf gives what a frame carries to or from a TCP port, or nil. IPv6 with extension headers is not taken: TCP in a pod has none.
func payloadOf(frame []byte, port uint16) []byte {
	if len(frame) < ethernetHeader {
		return nil
	}
	packet := frame[ethernetHeader:]
	var segment []byte
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherTypeIPv4:
		segment = segment4(packet)
	case etherTypeIPv6:
		if len(packet) >= ipv6Header && packet[6] == protocolTCP {
			segment = packet[ipv6Header:min(len(packet), ipv6Header+int(binary.BigEndian.Uint16(packet[4:])))]
		}
	}
	if len(segment) < 20 {
		return nil
	}
	if binary.BigEndian.Uint16(segment) != port && binary.BigEndian.Uint16(segment[2:]) != port {
		return nil
	}
	begin := int(segment[12]>>4) * 4
	if begin < 20 || begin > len(segment) {
		return nil
	}
	return segment[begin:]
}

func segment4(packet []byte) []byte {
	if len(packet) < 20 || packet[9] != protocolTCP {
		return nil
	}
	header, total := int(packet[0]&15)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if header < 20 || total < header || total > len(packet) {
		return nil
	}
	return packet[header:total]
}
