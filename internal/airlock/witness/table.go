// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
)

// state is the state of a socket as the kernel numbers it (include/net/tcp_states.h).
type state uint8

const (
	synSent     state = 2
	synReceived state = 3
	timeWait    state = 6
	closed      state = 7
	listening   state = 10
	newSyn      state = 12
)

// row is one line of /proc/net/tcp or tcp6. IPv4 addresses in tcp6 are plain ones here.
type row struct {
	local, remote netip.AddrPort
	state         state
	user          uint32
	inode         uint64
}

// maxRows is how many lines of a table are read. Listeners come first, so a flood of connections does not hide them.
const maxRows = 1 << 16

// maxLine is longer than any line of the files that are read here.
const maxLine = 16 << 10

var errFormat = errors.New("not the format of the kernel")

// readTable calls visit for each line of /proc/net/tcp or tcp6, at most maxRows of them.
func readTable(r io.Reader, visit func(row)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	if !lines.Scan() {
		return lines.Err()
	}
	for n := 0; n < maxRows && lines.Scan(); n++ {
		parsed, err := parseRow(lines.Bytes())
		if err != nil {
			return err
		}
		visit(parsed)
	}
	return lines.Err()
}

// The columns of a row: sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode ...
const (
	columnLocal  = 1
	columnRemote = 2
	columnState  = 3
	columnUser   = 7
	columnInode  = 9
	columns      = 10
)

func parseRow(line []byte) (row, error) {
	var field [columns][]byte
	if !split(line, field[:]) {
		return row{}, fmt.Errorf("a row of a socket table: %w", errFormat)
	}
	var parsed row
	var err [5]error
	parsed.local, err[0] = parseAddrPort(field[columnLocal])
	parsed.remote, err[1] = parseAddrPort(field[columnRemote])
	st, failed := strconv.ParseUint(string(field[columnState]), 16, 8)
	parsed.state, err[2] = state(st), failed
	user, failed := strconv.ParseUint(string(field[columnUser]), 10, 32)
	parsed.user, err[3] = uint32(user), failed
	parsed.inode, err[4] = strconv.ParseUint(string(field[columnInode]), 10, 64)
	if failed := errors.Join(err[:]...); failed != nil {
		return row{}, fmt.Errorf("a row of a socket table: %w", failed)
	}
	return parsed, nil
}

// split fills fields with the first words of a line.
func split(line []byte, fields [][]byte) bool {
	blank := func(c byte) bool { return c == ' ' || c == '\t' }
	at := 0
	for i := range fields {
		for at < len(line) && blank(line[at]) {
			at++
		}
		from := at
		for at < len(line) && !blank(line[at]) {
			at++
		}
		if from == at {
			return false
		}
		fields[i] = line[from:at]
	}
	return true
}

// parseAddrPort reads an address as the kernel prints it: 32-bit words of the address in the order of the machine, then the port.
func parseAddrPort(word []byte) (netip.AddrPort, error) {
	address, port, found := bytes.Cut(word, []byte(":"))
	var raw [16]byte
	if !found || (len(address) != 8 && len(address) != 32) {
		return netip.AddrPort{}, errFormat
	}
	n, err := hex.Decode(raw[:], address)
	if err != nil {
		return netip.AddrPort{}, errFormat
	}
	for i := 0; i < n; i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	number, err := strconv.ParseUint(string(port), 16, 16)
	if err != nil {
		return netip.AddrPort{}, errFormat
	}
	parsed, _ := netip.AddrFromSlice(raw[:n])
	return netip.AddrPortFrom(parsed.Unmap(), uint16(number)), nil
}

// readPassiveOpens finds "Tcp: PassiveOpens" in /proc/net/snmp: a line of names, then a line of numbers.
func readPassiveOpens(r io.Reader) (int64, error) {
	lines := bufio.NewScanner(io.LimitReader(r, 1<<20))
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	column := -1
	for lines.Scan() {
		words := bytes.Fields(lines.Bytes())
		if len(words) == 0 || string(words[0]) != "Tcp:" {
			continue
		}
		if column < 0 {
			for i, word := range words {
				if string(word) == "PassiveOpens" {
					column = i
				}
			}
			continue
		}
		if column >= len(words) {
			break
		}
		n, err := strconv.ParseInt(string(words[column]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("PassiveOpens of snmp: %w", err)
		}
		return n, nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("no PassiveOpens in snmp: %w", errFormat)
}

// maxRoutes is how many routes are read: a pod has a handful.
const maxRoutes = 1024

// readGateways4 finds the default gateways in /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask ...
func readGateways4(r io.Reader) []netip.Addr {
	var found []netip.Addr
	eachLine(r, func(line []byte) {
		var field [8][]byte
		if !split(line, field[:]) || string(field[1]) != "00000000" || string(field[7]) != "00000000" {
			return
		}
		if gateway, err := parseAddrPort(append(bytes.Clone(field[2]), ":0"...)); err == nil {
			found = appendGateway(found, gateway.Addr())
		}
	})
	return found
}

// readGateways6 finds the default gateways in /proc/net/ipv6_route: destination, its length, source, its length, next hop, ...
func readGateways6(r io.Reader) []netip.Addr {
	var found []netip.Addr
	eachLine(r, func(line []byte) {
		var field [5][]byte
		var raw [16]byte
		if !split(line, field[:]) || string(field[1]) != "00" || len(bytes.Trim(field[0], "0")) > 0 || len(field[4]) != 32 {
			return
		}
		if _, err := hex.Decode(raw[:], field[4]); err == nil {
			found = appendGateway(found, netip.AddrFrom16(raw).Unmap())
		}
	})
	return found
}

// appendGateway leaves out link-local addresses: plugins use the same one on every node, and no connection comes from it.
func appendGateway(found []netip.Addr, gateway netip.Addr) []netip.Addr {
	if gateway.IsUnspecified() || gateway.IsLinkLocalUnicast() || gateway.IsLoopback() {
		return found
	}
	return append(found, gateway)
}

func eachLine(r io.Reader, visit func([]byte)) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for n := 0; n < maxRoutes && lines.Scan(); n++ {
		visit(lines.Bytes())
	}
}
