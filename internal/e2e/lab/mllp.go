// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// The framing of MLLP (HL7 v2, Transport Specification: MLLP, release 1): <VT> message <FS><CR>.
const (
	startBlock     = 0x0b
	endBlock       = 0x1c
	carriageReturn = 0x0d
)

// MaxMessage is the longest message that is taken.
const MaxMessage = 1 << 20

// Marker is how every HL7 v2 message begins: what must not be seen on the wire.
const Marker = "MSH|"

var (
	errFraming = errors.New("no MLLP block")
	errHeader  = errors.New("no HL7 v2 message with MSH-10")
)

// WriteMessage writes one block.
func WriteMessage(w io.Writer, message []byte) error {
	block := make([]byte, 0, len(message)+3)
	block = append(block, startBlock)
	block = append(block, message...)
	_, err := w.Write(append(block, endBlock, carriageReturn))
	return err
}

// ReadMessage reads one block. io.EOF: the other side closed between two of them.
func ReadMessage(r *bufio.Reader) ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	if first != startBlock {
		return nil, errFraming
	}
	var message []byte
	for {
		part, err := r.ReadSlice(carriageReturn)
		message = append(message, part...)
		switch {
		case len(message) > MaxMessage+2:
			return nil, errFraming
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case bytes.HasSuffix(message, []byte{endBlock, carriageReturn}):
			return message[:len(message)-2], nil
		}
	}
}

// header is what an acknowledgement needs of the message that it is for.
type header struct {
	separator                      byte
	sender, senderSite             []byte
	receiver, receiverSite         []byte
	controlID, processing, version []byte
}

// parseHeader takes segment MSH apart. Field 1 is the separator itself, so field n is word n-1.
func parseHeader(message []byte) (header, error) {
	segment, _, _ := bytes.Cut(message, []byte{carriageReturn})
	if len(segment) < 8 || !bytes.HasPrefix(segment, []byte("MSH")) {
		return header{}, errHeader
	}
	words := bytes.Split(segment, segment[3:4])
	if len(words) < 12 || len(words[9]) == 0 || len(words[9]) > 199 {
		return header{}, errHeader
	}
	return header{
		separator: segment[3], sender: words[2], senderSite: words[3], receiver: words[4], receiverSite: words[5],
		controlID: words[9], processing: words[10], version: words[11],
	}, nil
}

// ControlID is field MSH-10 of a message.
func ControlID(message []byte) (string, error) {
	h, err := parseHeader(message)
	return string(h.controlID), err
}

// Acknowledge makes the acknowledgement of a message: code AA, AE or AR in MSA-1, its control ID in MSA-2.
func Acknowledge(message []byte, code string, now time.Time) ([]byte, error) {
	h, err := parseHeader(message)
	if err != nil {
		return nil, err
	}
	words := [][]byte{
		[]byte("MSH"), []byte(`^~\&`), h.receiver, h.receiverSite, h.sender, h.senderSite, []byte(now.UTC().Format("20060102150405")), nil,
		[]byte("ACK"), append([]byte("A-"), h.controlID...), h.processing, h.version,
	}
	separator := []byte{h.separator}
	answer := bytes.Join(words, separator)
	answer = append(answer, carriageReturn)
	answer = append(answer, bytes.Join([][]byte{[]byte("MSA"), []byte(code), h.controlID}, separator)...)
	return append(answer, carriageReturn), nil
}

// Acknowledged gives MSA-1 and MSA-2 of an acknowledgement.
func Acknowledged(answer []byte) (code, controlID string, err error) {
	if !bytes.HasPrefix(answer, []byte("MSH")) || len(answer) < 4 {
		return "", "", errHeader
	}
	for segment := range bytes.SplitSeq(answer, []byte{carriageReturn}) {
		words := bytes.Split(segment, answer[3:4])
		if len(words) >= 3 && string(words[0]) == "MSA" {
			return string(words[1]), string(words[2]), nil
		}
	}
	return "", "", errHeader
}

// NewMessage makes a result of the laboratory (ORU^R01) with a control ID.
func NewMessage(controlID string, now time.Time) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|ANALYZER|LAB|LIS|HOSPITAL|%s||ORU^R01|%s|P|2.5.1\r"+
		"PID|1||123456^^^LAB||TEST^PATIENT||19700101|F\r"+
		"OBR|1|||24331-1^Lipid panel^LN\r"+
		"OBX|1|NM|2093-3^Cholesterol^LN||196|mg/dL|<200||||F\r", now.UTC().Format("20060102150405"), controlID)
}
