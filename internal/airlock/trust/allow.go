// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/labguard/labguard/internal/airlock/config"
)

// allowed says whether an entry of the list lets the peer in.
func allowed(peer Peer, entries []config.Peer, domain string) error {
	failure := refuse(NotAllowed)
	for _, entry := range entries {
		if entry.Authority != peer.Authority || !fits(peer, entry, domain) {
			continue
		}
		if from(peer.Source, entry.CIDRs) {
			return nil
		}
		failure = refuse(WrongAddress)
	}
	return failure
}

// fits says whether an entry speaks of what the peer shows, whoever vouches for it.
func fits(peer Peer, entry config.Peer, domain string) bool {
	switch {
	case entry.ID != "":
		return entry.ID == peer.ID
	case entry.Pattern != "":
		pattern, err := config.ParsePattern(entry.Pattern)
		if err != nil || pattern.Domain == domain {
			return false
		}
		id, err := config.ParseID(peer.ID)
		return err == nil && pattern.Matches(id)
	case entry.Fingerprint != "":
		return entry.Fingerprint == peer.Fingerprint
	case entry.DNSName != "":
		return slices.ContainsFunc(peer.Names, func(name string) bool { return strings.EqualFold(name, entry.DNSName) })
	default:
		return false
	}
}

func from(source netip.Addr, blocks []string) bool {
	if len(blocks) == 0 {
		return true
	}
	return slices.ContainsFunc(blocks, func(block string) bool {
		prefix, err := netip.ParsePrefix(block)
		return err == nil && prefix.Contains(source)
	})
}
