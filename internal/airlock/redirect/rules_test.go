// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	rules, err := Parse([]string{"[fd00::2]:2575", ":2575", "10.96.1.2:2575", "[::ffff:10.96.1.2]:2575", "10.96.1.2:104", ":2575"})
	if err != nil {
		t.Fatal(err)
	}
	four, six := netip.MustParseAddr("10.96.1.2"), netip.MustParseAddr("fd00::2")
	if want := (Rules{{Port: 2575}, {four, 104}, {four, 2575}, {six, 2575}}); !slices.Equal(rules, want) {
		t.Errorf("rules %v, want %v", rules, want)
	}
	if got, want := rules.of(false), (Rules{{Port: 2575}, {four, 104}, {four, 2575}}); !slices.Equal(got, want) {
		t.Errorf("IPv4: %v", got)
	}
	if got, want := rules.of(true), (Rules{{Port: 2575}, {six, 2575}}); !slices.Equal(got, want) {
		t.Errorf("IPv6: %v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, entry := range []string{
		"", ":", ":0", ":65536", ":-1", "2575", "lis:2575", "10.96.1.2", "10.96.1.2:", "127.0.0.1:2575", "[::1]:2575", "0.0.0.0:2575", "[::]:2575",
		"224.0.0.1:2575", "[fe80::1%eth0]:2575", ":15001", "10.96.1.2:15090", ":15091",
	} {
		if rules, err := Parse([]string{entry}); err == nil {
			t.Errorf("%q gave %v", entry, rules)
		}
	}
	if _, err := Parse(nil); err == nil {
		t.Error("nothing was taken")
	}
	if _, err := Parse(slices.Repeat([]string{":2575"}, MaxEntries+1)); err == nil {
		t.Error("too many were taken")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("10.96.1.2:2575 :104 [fd00::2]:2575")
	f.Fuzz(func(t *testing.T, entries string) {
		rules, err := Parse(strings.Fields(entries))
		if err != nil {
			return
		}
		for _, rule := range rules {
			if rule.Port == 0 || rule.Address.Is4In6() || rule.Address.IsLoopback() {
				t.Errorf("%q gave %v", entries, rule)
			}
		}
	})
}

func FuzzParseSocketAddress(f *testing.F) {
	four := binary.NativeEndian.AppendUint16(nil, familyInet)
	six := binary.NativeEndian.AppendUint16(nil, familyInet6)
	f.Add(append(four, 10, 15, 10, 96, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Add(append(six, 10, 15, 0, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		at, err := parseSocketAddress(raw)
		if (err == nil) != at.Addr().IsValid() || at.Addr().Is4In6() {
			t.Errorf("%x gave %v, %v", raw, at, err)
		}
	})
}
