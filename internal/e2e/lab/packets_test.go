// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import "testing"

// frame makes an Ethernet frame of a TCP segment.
func frame(six bool, from, to uint16, payload string) []byte {
	const tcpHeader, ipv4Header = 24, 20
	short := func(made []byte, n int) []byte { return append(made, byte(n>>8&0xff), byte(n&0xff)) }
	made := append([]byte(nil), make([]byte, 12)...)
	if six {
		made = short(made, etherTypeIPv6)
		made = append(short(append(made, 6<<4, 0, 0, 0), tcpHeader+len(payload)), protocolTCP, 64)
		made = append(made, make([]byte, 32)...)
	} else {
		made = short(made, etherTypeIPv4)
		made = append(short(append(made, 4<<4|5, 0), ipv4Header+tcpHeader+len(payload)), 0, 0, 0, 0, 64, protocolTCP)
		made = append(made, make([]byte, 10)...)
	}
	made = short(short(made, int(from)), int(to))
	made = append(append(made, make([]byte, 8)...), tcpHeader/4<<4)
	made = append(append(made, make([]byte, 11)...), payload...)
	if six {
		return made
	}
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
