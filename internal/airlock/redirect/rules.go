// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package redirect

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/labguard/labguard/internal/airlock/config"
)

// MaxEntries is how many destinations are taken: their rules are one message to the kernel for each family.
const MaxEntries = 512

// Rule redirects what goes to one port: of one address, or of all if Address is the zero value.
type Rule struct {
	Address netip.Addr
	Port    uint16
}

// Rules are what Install writes, sorted and each of them once.
type Rules []Rule

var errEntry = errors.New("neither <address>:<port> nor :<port>")

// Parse reads entries such as 10.96.1.2:2575, [fd00::2]:2575 and :2575, the last of which is that port of every address.
func Parse(entries []string) (Rules, error) {
	if len(entries) == 0 || len(entries) > MaxEntries {
		return nil, fmt.Errorf("redirect %d destinations: from 1 to %d are possible", len(entries), MaxEntries)
	}
	rules := make(Rules, 0, len(entries))
	for _, entry := range entries {
		rule, err := parseEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("redirect %q: %w", entry, err)
		}
		rules = append(rules, rule)
	}
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port)) })
	return slices.Compact(rules), nil
}

func parseEntry(entry string) (Rule, error) {
	var rule Rule
	if word, all := strings.CutPrefix(entry, ":"); all {
		port, err := strconv.ParseUint(word, 10, 16)
		if err != nil {
			return Rule{}, errEntry
		}
		rule.Port = uint16(port)
	} else {
		at, err := netip.ParseAddrPort(entry)
		if err != nil {
			return Rule{}, errEntry
		}
		rule = Rule{Address: at.Addr().Unmap(), Port: at.Port()}
		if a := rule.Address; a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Zone() != "" {
			return Rule{}, errors.New("no address of an upstream")
		}
	}
	switch rule.Port {
	case 0, config.HealthPort, config.AdminPort, config.RedirectPort:
		return Rule{}, errors.New("no port of an upstream")
	}
	return rule, nil
}

// of gives the rules of a family: those of its addresses, and those of all addresses.
func (r Rules) of(six bool) Rules {
	return slices.DeleteFunc(slices.Clone(r), func(rule Rule) bool { return rule.Address.IsValid() && rule.Address.Is6() != six })
}
