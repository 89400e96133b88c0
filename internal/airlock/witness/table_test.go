// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Files as a little-endian machine shows them.
const (
	tcpFile = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0A0F 00000000:0000 0A 00000000:00000000 00:00000000 00000000 64000        0 1601 1 00000000b0dd9dc2 100 0 0 10 0
   1: 0A00090A:0A0F 1E00090A:B0DE 01 00000000:00000000 00:00000000 00000000  1000        0 632104 2 00000000bc961d8e 20 4 1 13 -1
   2: 0A00090A:0A0F 1E00090A:9184 06 00000000:00000000 03:0000169C 00000000     0        0 0 3 000000000e7d6094
`
	tcp6File = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0A0F 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000A00090A:0A0F 0000000000000000FFFF00002800090A:B0DF 01 00000000:00000000 00:00000000 00000000  1000        0 78 1 0
   2: 000009FD000000000000000010000000:0A0F 000009FD000000000000000030000000:B0E0 08 00000000:00000000 00:00000000 00000000  1000        0 79 1 0
`
	snmpFile = `Ip: Forwarding DefaultTTL
Ip: 1 64
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails
Tcp: 1 200 120000 -1 7 42 3
`
	routeFile = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100F40A	0003	0	0	0	00000000	0	0	0
eth0	0000F40A	00000000	0001	0	0	0	00FFFFFF	0	0	0
eth1	00000000	0101FEA9	0003	0	0	0	00000000	0	0	0
`
	route6File = `00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0
`
)

func littleEndian(t testing.TB) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("skipped: the files are those of a little-endian machine")
	}
}

func rowsOf(t *testing.T, file string) []row {
	t.Helper()
	littleEndian(t)
	var rows []row
	if err := readTable(strings.NewReader(file), func(r row) { rows = append(rows, r) }); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestReadTable(t *testing.T) {
	at := netip.MustParseAddrPort
	want := []row{
		{local: at("127.0.0.1:2575"), remote: at("0.0.0.0:0"), state: listening, user: 64000, inode: 1601},
		{local: at("10.9.0.10:2575"), remote: at("10.9.0.30:45278"), state: 1, user: 1000, inode: 632104},
		{local: at("10.9.0.10:2575"), remote: at("10.9.0.30:37252"), state: timeWait},
	}
	addresses := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, rowsOf(t, tcpFile), cmp.AllowUnexported(row{}), addresses); diff != "" {
		t.Errorf("tcp (-want +got):\n%s", diff)
	}
	want6 := []row{
		{local: at("[::]:2575"), remote: at("[::]:0"), state: listening, user: 1000, inode: 77},
		{local: at("10.9.0.10:2575"), remote: at("10.9.0.40:45279"), state: 1, user: 1000, inode: 78},
		{local: at("[fd09::10]:2575"), remote: at("[fd09::30]:45280"), state: 8, user: 1000, inode: 79},
	}
	if diff := cmp.Diff(want6, rowsOf(t, tcp6File), cmp.AllowUnexported(row{}), addresses); diff != "" {
		t.Errorf("tcp6 (-want +got):\n%s", diff)
	}
}

func TestReadTableRefuses(t *testing.T) {
	for name, line := range map[string]string{
		"TooShort":    "0: 0100007F:0A0F 00000000:0000 0A",
		"AddressSize": "0: 0100007F00:0A0F 00000000:0000 0A 0:0 0:0 0 0 0 1",
		"Hexadecimal": "0: 0100007X:0A0F 00000000:0000 0A 0:0 0:0 0 0 0 1",
		"Port":        "0: 0100007F:10000 00000000:0000 0A 0:0 0:0 0 0 0 1",
		"NoPort":      "0: 0100007F 00000000:0000 0A 0:0 0:0 0 0 0 1",
		"State":       "0: 0100007F:0A0F 00000000:0000 0AAA 0:0 0:0 0 0 0 1",
		"User":        "0: 0100007F:0A0F 00000000:0000 0A 0:0 0:0 0 x 0 1",
	} {
		t.Run(name, func(t *testing.T) {
			if err := readTable(strings.NewReader("header\n"+line+"\n"), func(row) {}); err == nil {
				t.Error("taken")
			}
		})
	}
	if err := readTable(strings.NewReader("header\n"+strings.Repeat(" ", 2*maxLine)), func(row) {}); err == nil {
		t.Error("a line without end was taken")
	}
}

func TestReadTableIsBounded(t *testing.T) {
	n := 0
	line := "0: 0100007F:0A0F 00000000:0000 0A 0:0 0:0 0 0 0 1\n"
	if err := readTable(strings.NewReader("header\n"+strings.Repeat(line, maxRows+10)), func(row) { n++ }); err != nil || n != maxRows {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestReadPassiveOpens(t *testing.T) {
	if n, err := readPassiveOpens(strings.NewReader(snmpFile)); n != 42 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, file := range []string{"", "Tcp: A B\nTcp: 1 2\n", "Tcp: PassiveOpens\nTcp:\n", "Tcp: PassiveOpens\nTcp: x\n"} {
		if n, err := readPassiveOpens(strings.NewReader(file)); err == nil {
			t.Errorf("%q gave %d", file, n)
		}
	}
	if _, err := readPassiveOpens(strings.NewReader("Tcp: A\n")); !errors.Is(err, errFormat) {
		t.Errorf("error %v", err)
	}
}

// Link-local gateways are left out: each node has the same.
func TestGateways(t *testing.T) {
	littleEndian(t)
	addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff([]netip.Addr{netip.MustParseAddr("10.244.0.1")}, readGateways4(strings.NewReader(routeFile)), addresses); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]netip.Addr{netip.MustParseAddr("fd00::1")}, readGateways6(strings.NewReader(route6File)), addresses); diff != "" {
		t.Error(diff)
	}
}

func TestParseNodeAddresses(t *testing.T) {
	got := ParseNodeAddresses("10.0.0.1, fd00::1,nonsense,,::ffff:10.0.0.2")
	want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("10.0.0.2")}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(tcpFile)
	f.Add(tcp6File)
	f.Fuzz(func(t *testing.T, file string) {
		n := 0
		_ = readTable(strings.NewReader(file), func(r row) {
			n++
			if !r.local.Addr().IsValid() || r.local.Addr().Is4In6() {
				t.Errorf("row %+v", r)
			}
		})
		if n > strings.Count(file, "\n")+1 {
			t.Errorf("%d rows of %q", n, file)
		}
	})
}

func FuzzReadPassiveOpens(f *testing.F) {
	f.Add(snmpFile)
	f.Fuzz(func(t *testing.T, file string) {
		if n, err := readPassiveOpens(strings.NewReader(file)); err != nil && n != 0 {
			t.Errorf("%d and %v", n, err)
		}
	})
}

func FuzzGateways(f *testing.F) {
	f.Add(routeFile)
	f.Add(route6File)
	f.Fuzz(func(t *testing.T, file string) {
		for _, gateway := range append(readGateways4(strings.NewReader(file)), readGateways6(strings.NewReader(file))...) {
			if !gateway.IsValid() || gateway.IsUnspecified() || gateway.IsLinkLocalUnicast() {
				t.Errorf("gateway %v", gateway)
			}
		}
	})
}

func FuzzParseEvents(f *testing.F) {
	f.Add(eventOf("10.9.0.10:2575", "10.9.0.30:4000"))
	f.Add(append(eventOf("[fd09::10]:2575", "[fd09::30]:4000"), eventOf("[::ffff:10.9.0.10]:2575", "[::ffff:10.9.0.30]:4000")...))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		n := 0
		parseEvents(datagram, func(event ended) {
			n++
			if event.local.Addr().Is4In6() || event.local.Port() == 0 || event.remote.Addr().IsUnspecified() {
				t.Errorf("event %+v", event)
			}
		})
		if n > len(datagram)/(headerSize+inetDiagSize) {
			t.Errorf("%d events in %d bytes", n, len(datagram))
		}
	})
}

// eventOf makes a message as the kernel does. Addresses keep the family that they are written in.
func eventOf(local, remote string) []byte {
	from, to := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	const size = headerSize + inetDiagSize + 8
	message := make([]byte, size)
	binary.NativeEndian.PutUint32(message, size)
	binary.NativeEndian.PutUint16(message[4:], messageInetDiag)
	body := message[headerSize:]
	body[0] = familyInet
	if from.Addr().Is6() {
		body[0] = familyInet6
	}
	binary.BigEndian.PutUint16(body[offsetPorts:], from.Port())
	binary.BigEndian.PutUint16(body[offsetPorts+2:], to.Port())
	copy(body[offsetSource:], from.Addr().AsSlice())
	copy(body[offsetTarget:], to.Addr().AsSlice())
	return message
}

// BenchmarkReadTable reads a table of 2,000 connections.
func BenchmarkReadTable(b *testing.B) {
	lines := strings.SplitAfter(tcpFile, "\n")
	file := lines[0] + strings.Repeat(lines[2], 2000)
	b.ReportAllocs()
	for b.Loop() {
		if err := readTable(strings.NewReader(file), func(row) {}); err != nil {
			b.Fatal(err)
		}
	}
}
