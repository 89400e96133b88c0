// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The frame of MLLP (HL7 transport specification, appendix C): a vertical tab, the message, a file separator and a carriage return.
const (
	frameStart = 0x0b
	frameEnd   = 0x1c
	frameLast  = 0x0d
	// maxMessage bounds a message in bytes.
	maxMessage = 1 << 20
	// Marker is at the start of every HL7 v2 message: seen on the wire, it is plaintext.
	Marker = "MSH|"
)

// Message is an HL7 v2 result with a control ID.
func Message(controlID string) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|ANALYZER|LAB|LIS|LAB|20261126120000||ORU^R01|%s|P|2.5\rPID|1||4711\rOBX|1|NM|GLU||5.4|mmol/L\r", controlID)
}

// acknowledgement accepts the message with a control ID.
func acknowledgement(controlID string) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|LIS|LAB|ANALYZER|LAB|20261126120000||ACK^R01|A%s|P|2.5\rMSA|AA|%s\r", controlID, controlID)
}

// field is the field of a segment, counted as HL7 does; MSH-1 is the separator itself.
func field(message []byte, segment string, number int) (string, error) {
	for line := range strings.SplitSeq(string(message), "\r") {
		fields := strings.Split(line, "|")
		if fields[0] != segment {
			continue
		}
		if segment == "MSH" {
			number--
		}
		if number >= len(fields) {
			break
		}
		return fields[number], nil
	}
	return "", fmt.Errorf("the message has no %s-%d", segment, number)
}

// writeFrame sends one message.
func writeFrame(w io.Writer, message []byte) error {
	frame := append([]byte{frameStart}, message...)
	_, err := w.Write(append(frame, frameEnd, frameLast))
	return err
}

// readFrame receives one message. io.EOF means that the other side closed between two messages.
func readFrame(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	if first != frameStart {
		return nil, fmt.Errorf("a frame begins with %#x", first)
	}
	var message bytes.Buffer
	for {
		next, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case next == frameEnd:
			if last, err := r.ReadByte(); err != nil || last != frameLast {
				return nil, fmt.Errorf("a frame ends with %#x: %w", last, err)
			}
			return message.Bytes(), nil
		case message.Len() == maxMessage:
			return nil, errors.New("a message of over 1 MiB")
		}
		message.WriteByte(next)
	}
}
