// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
)

// addresses is a set of IP addresses of both families. A span never crosses from one family to the other.
type addresses = set[netip.Addr]

// prefixSpan is the first and the last address of a prefix.
func prefixSpan(prefix netip.Prefix) span[netip.Addr] {
	lo := prefix.Masked().Addr()
	last := lo.AsSlice()
	for bit := prefix.Bits(); bit < lo.BitLen(); bit++ {
		last[bit/8] |= 1 << (7 - bit%8)
	}
	hi, _ := netip.AddrFromSlice(last)
	return span[netip.Addr]{lo, hi}
}

// family is every address of IPv4 or of IPv6.
func family(v4 bool) addresses {
	if v4 {
		return addresses{prefixSpan(netip.PrefixFrom(netip.IPv4Unspecified(), 0))}
	}
	return addresses{prefixSpan(netip.PrefixFrom(netip.IPv6Unspecified(), 0))}
}

func everyAddress() addresses {
	return append(family(true), family(false)...)
}

// compileBlock reads a block with its exceptions. What does not parse, which the API refuses, is nothing.
func compileBlock(block *networkingv1.IPBlock) addresses {
	prefix, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return nil
	}
	found := addresses{prefixSpan(prefix)}
	for _, text := range block.Except {
		if except, err := netip.ParsePrefix(text); err == nil {
			found = found.minus(addresses{prefixSpan(except)})
		}
	}
	return found
}

// firstBlock is the largest prefix with which a set that is not empty begins, as an example of it.
func firstBlock(found addresses) netip.Prefix {
	first := found[0]
	for bits := range first.lo.BitLen() {
		prefix := netip.PrefixFrom(first.lo, bits)
		if whole := prefixSpan(prefix); whole.lo == first.lo && whole.hi.Compare(first.hi) <= 0 {
			return prefix
		}
	}
	return netip.PrefixFrom(first.lo, first.lo.BitLen())
}
