// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/netip"
)

func (c *Configuration) checkUpstreams() error {
	names, taken := map[string]bool{}, map[netip.AddrPort]string{}
	for i, upstream := range c.Upstreams {
		field := fmt.Sprintf("upstreams[%d]", i)
		if err := checkName(names, upstream.Name); err != nil {
			return fmt.Errorf("%s.name: %w", field, err)
		}
		if err := c.checkID("id", upstream.ID); err != nil {
			return fmt.Errorf("%s.%w", field, err)
		}
		if err := checkTLS(upstream.MinTLSVersion); err != nil {
			return fmt.Errorf("%s.minTLSVersion: %w", field, err)
		}
		if err := c.checkPath(upstream, field, taken); err != nil {
			return err
		}
		if err := checkTargets(upstream); err != nil {
			return fmt.Errorf("%s.%w", field, err)
		}
	}
	return nil
}

// checkPath looks at how connections of the application reach the upstream. An address that two upstreams share would be one of them by chance.
func (c *Configuration) checkPath(upstream Upstream, field string, taken map[netip.AddrPort]string) error {
	if len(upstream.Destinations) > MaxDestinations {
		return fmt.Errorf("%s.destinations: has %d entries, more than %d", field, len(upstream.Destinations), MaxDestinations)
	}
	if c.ClientPath != Redirect {
		// An upstream that the application cannot reach, as its port is taken in the pod, has no address.
		if upstream.Listen == "" {
			return nil
		}
		listen, err := parseAddress(upstream.Listen)
		if err != nil {
			return fmt.Errorf("%s.listen: %w", field, err)
		}
		if !listen.Addr().IsLoopback() {
			return fmt.Errorf("%s.listen: is no loopback address", field)
		}
		return take(taken, listen, field+".listen")
	}
	for n, destination := range upstream.Destinations {
		at := fmt.Sprintf("%s.destinations[%d]", field, n)
		address, err := parseAddress(destination)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if err := take(taken, address, at); err != nil {
			return err
		}
	}
	return nil
}

func take(taken map[netip.AddrPort]string, address netip.AddrPort, field string) error {
	if by, found := taken[address]; found {
		return fmt.Errorf("%s: %s is taken by %s", field, address, by)
	}
	taken[address] = field
	return nil
}

func checkTargets(upstream Upstream) error {
	for _, target := range []struct{ field, address string }{{"secure", upstream.Secure}, {"plain", upstream.Plain}} {
		if target.address == "" {
			continue
		}
		if _, err := parseAddress(target.address); err != nil {
			return fmt.Errorf("%s: %w", target.field, err)
		}
	}
	return nil
}

func parseAddress(text string) (netip.AddrPort, error) {
	address, err := netip.ParseAddrPort(text)
	if err != nil || address.Port() == 0 || address.Addr().IsUnspecified() {
		return netip.AddrPort{}, errors.New("is no address with a port, such as 10.96.0.7:2575")
	}
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port()), nil
}
