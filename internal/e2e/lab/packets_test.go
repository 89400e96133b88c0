// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"testing"
)

// frame makes an Ethernet frame of a TCP segment.
func frame(six bool, from, to uint16, payload string) []byte {
	segment := make([]byte, 24, 24+len(payload))
	binary.BigEndian.PutUint16(segment, from)
	binary.BigEndian.PutUint16(segment[2:], to)
	segment[12] = 6 << 4
	segment = append(segment, payload...)
	made := make([]byte, ethernetHeader)
	if six {
		binary.BigEndian.PutUint16(made[12:], etherTypeIPv6)
		packet := make([]byte, ipv6Header)
		packet[0], packet[6] = 6<<4, protocolTCP
		binary.BigEndian.PutUint16(packet[4:], uint16(len(segment)))
		return append(append(made, packet...), segment...)
	}
	binary.BigEndian.PutUint16(made[12:], etherTypeIPv4)
	packet := make([]byte, 20)
	packet[0], packet[9] = 4<<4|5, protocolTCP
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)+len(segment)))
	made = append(append(made, packet...), segment...)
	// A short frame is padded, and the padding is no payload.
	return append(made, 0, 0, 0, 0)
}

func TestWire(t *testing.T) {
	var seen Wire
	for _, six := range []bool{false, true} {
		seen.Add(frame(six, 4000, 2575, "\x0bMSH|^~\\&|"), 2575)
		seen.Add(frame(six, 2575, 4000, "\x17\x03\x03\x00\x20secret"), 2575)
		seen.Add(frame(six, 4000, 2575, "the rest"), 2575)
		seen.Add(frame(six, 4000, 2575, ""), 2575)
		seen.Add(frame(six, 4000, 2576, "MSH|"), 2575)
	}
	if want := (Wire{Packets: 6, Plaintext: 2, Records: 2, Others: 2}); seen != want {
		t.Errorf("%+v, want %+v", seen, want)
	}
}

func FuzzWire(f *testing.F) {
	f.Add(frame(false, 4000, 2575, "MSH|"), uint16(2575))
	f.Add(frame(true, 2575, 4000, "\x16\x03\x01"), uint16(2575))
	f.Fuzz(func(t *testing.T, frame []byte, port uint16) {
		var seen Wire
		seen.Add(frame, port)
		if seen.Packets != seen.Plaintext+seen.Records+seen.Others || seen.Packets > 1 {
			t.Errorf("%+v", seen)
		}
	})
}
