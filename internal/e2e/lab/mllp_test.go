// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestBlocks(t *testing.T) {
	var wire bytes.Buffer
	messages := [][]byte{NewMessage("a-1", noon), []byte("one\rtwo\r"), bytes.Repeat([]byte("x\r"), 20_000), {}}
	for _, message := range messages {
		if err := WriteMessage(&wire, message); err != nil {
			t.Fatal(err)
		}
	}
	reader := bufio.NewReader(iotest.OneByteReader(&wire))
	for i, want := range messages {
		if got, err := ReadMessage(reader); err != nil || !bytes.Equal(got, want) {
			t.Errorf("message %d: %q, %v", i, got, err)
		}
	}
	if _, err := ReadMessage(reader); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestBadBlocks(t *testing.T) {
	for name, wire := range map[string]string{"NoStart": "MSH|\x1c\r", "Cut": "\x0bMSH|", "Endless": "\x0b" + strings.Repeat("x", MaxMessage+4096) + "\x1c\r"} {
		if got, err := ReadMessage(bufio.NewReader(strings.NewReader(wire))); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestAcknowledge(t *testing.T) {
	answer, err := Acknowledge(NewMessage("id-7", noon), "AA", noon)
	want := "MSH|^~\\&|LIS|HOSPITAL|ANALYZER|LAB|20260101120000||ACK|A-id-7|P|2.5.1\rMSA|AA|id-7\r"
	if err != nil || string(answer) != want {
		t.Errorf("answer %q, %v, want %q", answer, err, want)
	}
	if code, id, err := Acknowledged(answer); code != "AA" || id != "id-7" || err != nil {
		t.Errorf("%q about %q, %v", code, id, err)
	}
	for _, message := range []string{"", "MSH", "MSH|^~\\&|a|b|c|d|e|f|g||P|2.5.1\r", "PID|1\r", "MSH|^~\\&|a\r"} {
		if _, err := Acknowledge([]byte(message), "AA", noon); err == nil {
			t.Errorf("%q was acknowledged", message)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte("\x0bMSH|^~\\&|a|b|c|d|e|f|g|id|P|2.5.1\rMSA|AA|id\r\x1c\r"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		message, err := ReadMessage(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := WriteMessage(&again, message); err != nil || !bytes.HasPrefix(wire, again.Bytes()) {
			t.Errorf("%q became %q", wire, again.Bytes())
		}
		id, err := ControlID(message)
		if err != nil {
			return
		}
		answer, err := Acknowledge(message, "AA", noon)
		if err != nil {
			t.Fatal(err)
		}
		if message[3] == 'A' || message[3] == 'S' || message[3] == 'M' || message[3] == '\n' {
			return
		}
		if code, about, err := Acknowledged(answer); code != "AA" || about != id || err != nil {
			t.Errorf("%q acknowledges %q, %v: %q", code, about, err, answer)
		}
	})
}
