// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Limits of a document. What labguard writes stays below them; they keep a document from using up the memory of the sidecar.
const (
	MaxPorts          = 64
	MaxPeers          = 1024
	MaxBlocks         = 256
	MaxUpstreams      = 512
	MaxDestinations   = 256
	MaxRevocations    = 4096
	MaxProbePorts     = 128
	MaxConnectionsCap = 65536
	maxName           = 512
	maxPort           = 65535
)

// The first path segments that labguard gives a meaning in the trust domain of the cluster.
const (
	workloadSegment = "ns"
	ownSegment      = "labguard"
)

// MinTLSVersion values.
const (
	TLS12 = "1.2"
	TLS13 = "1.3"
)

// Check says what is wrong with a configuration: the first field that is, by its path in the document.
func (c *Configuration) Check() error {
	if c.Version != Version {
		return fmt.Errorf("version: %d is not known here, %d is", c.Version, Version)
	}
	for _, check := range []func() error{c.checkSelf, c.checkLimits, c.checkPorts, c.checkUpstreams, c.checkRevocations} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Configuration) checkSelf() error {
	if !ValidDomain(c.TrustDomain) {
		return errors.New("trustDomain: is no trust domain")
	}
	for _, own := range []struct{ field, id, segment string }{{"identity", c.Identity, workloadSegment}, {"operator", c.Operator, ownSegment}} {
		id, err := ParseID(own.id)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", own.field, err)
		case id.Domain != c.TrustDomain:
			return fmt.Errorf("%s: is of another trust domain", own.field)
		case !id.Under(own.segment):
			return fmt.Errorf("%s: is not under /%s/", own.field, own.segment)
		}
	}
	switch c.ClientPath {
	case "", HostAliases, Redirect:
		return nil
	default:
		return errors.New("clientPath: is neither HostAliases nor Redirect")
	}
}

func (c *Configuration) checkLimits() error {
	for _, list := range []struct {
		field     string
		size, cap int
	}{
		{"ports", len(c.Ports), MaxPorts},
		{"upstreams", len(c.Upstreams), MaxUpstreams},
		{"revokedBefore", len(c.RevokedBefore), MaxRevocations},
		{"probePorts", len(c.ProbePorts), MaxProbePorts},
	} {
		if list.size > list.cap {
			return fmt.Errorf("%s: has %d entries, more than %d", list.field, list.size, list.cap)
		}
	}
	if c.MaxConnections < 1 || c.MaxConnections > MaxConnectionsCap {
		return fmt.Errorf("maxConnections: is not from 1 to %d", MaxConnectionsCap)
	}
	// Ten years, so that it is a time.Duration too.
	const longest = 10 * 366 * 24 * 60 * 60
	if c.MaxConnectionAge < 0 || c.MaxConnectionAge > longest {
		return fmt.Errorf("maxConnectionAgeSeconds: is not from 0 to %d", longest)
	}
	for i, port := range c.ProbePorts {
		if !validPort(port) {
			return fmt.Errorf("probePorts[%d]: is no port", i)
		}
	}
	return nil
}

func validPort(port int) bool { return port > 0 && port <= maxPort }

func (c *Configuration) checkPorts() error {
	served := map[int]string{HealthPort: "airlock's health port", AdminPort: "airlock's admin port", RedirectPort: "airlock's redirect port"}
	names := map[string]bool{}
	for i, port := range c.Ports {
		field := fmt.Sprintf("ports[%d]", i)
		if err := checkName(names, port.Name); err != nil {
			return fmt.Errorf("%s.name: %w", field, err)
		}
		for _, number := range []struct {
			field string
			port  int
		}{{"port", port.Port}, {"listenPort", port.ListenPort}} {
			if !validPort(number.port) {
				return fmt.Errorf("%s.%s: is no port", field, number.field)
			}
			if by, taken := served[number.port]; taken {
				return fmt.Errorf("%s.%s: %d is taken by %s", field, number.field, number.port, by)
			}
			served[number.port] = field + "." + number.field
		}
		if port.Stage != Permissive && port.Stage != Strict {
			return fmt.Errorf("%s.stage: is neither Permissive nor Strict", field)
		}
		if err := checkTLS(port.MinTLSVersion); err != nil {
			return fmt.Errorf("%s.minTLSVersion: %w", field, err)
		}
		if err := checkBlocks(port.PlaintextPeers); err != nil {
			return fmt.Errorf("%s.plaintextPeers%w", field, err)
		}
		if err := c.checkPeers(port.Peers); err != nil {
			return fmt.Errorf("%s.peers%w", field, err)
		}
	}
	return nil
}

func checkName(names map[string]bool, name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > maxName:
		return fmt.Errorf("has more than %d bytes", maxName)
	case names[name]:
		return fmt.Errorf("%q is there twice", name)
	}
	// Names stand in logs and metrics.
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f {
			return errors.New("has other characters than printable ASCII")
		}
	}
	names[name] = true
	return nil
}

func checkTLS(version string) error {
	if version != TLS12 && version != TLS13 {
		return errors.New(`is neither "1.2" nor "1.3"`)
	}
	return nil
}

func checkBlocks(blocks []string) error {
	if len(blocks) > MaxBlocks {
		return fmt.Errorf(": has %d entries, more than %d", len(blocks), MaxBlocks)
	}
	for i, block := range blocks {
		if _, err := netip.ParsePrefix(block); err != nil {
			return fmt.Errorf("[%d]: is no address block", i)
		}
	}
	return nil
}

func (c *Configuration) checkPeers(peers []Peer) error {
	if len(peers) > MaxPeers {
		return fmt.Errorf(": has %d entries, more than %d", len(peers), MaxPeers)
	}
	for i, peer := range peers {
		if err := c.checkPeer(peer); err != nil {
			return fmt.Errorf("[%d].%w", i, err)
		}
		if err := checkBlocks(peer.CIDRs); err != nil {
			return fmt.Errorf("[%d].cidrs%w", i, err)
		}
	}
	return nil
}

func (c *Configuration) checkPeer(peer Peer) error {
	given := 0
	for _, member := range []string{peer.ID, peer.Pattern, peer.Fingerprint, peer.DNSName} {
		if member != "" {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("id: %d of id, pattern, sha256 and dnsName are given, and not exactly one", given)
	}
	if err := checkAuthority(peer); err != nil {
		return fmt.Errorf("authority: %w", err)
	}
	switch {
	case peer.ID != "":
		return c.checkID("id", peer.ID)
	case peer.Pattern != "":
		pattern, err := ParsePattern(peer.Pattern)
		if err != nil {
			return fmt.Errorf("pattern: %w", err)
		}
		if pattern.Domain == c.TrustDomain {
			return errors.New("pattern: is of the trust domain of the cluster, in which every peer is named")
		}
		return nil
	case peer.Fingerprint != "":
		const digits = 64
		if len(peer.Fingerprint) != digits || strings.Trim(peer.Fingerprint, "0123456789abcdef") != "" {
			return fmt.Errorf("sha256: is not %d lower-case hexadecimal digits", digits)
		}
		return nil
	default:
		return checkDNSName(peer.DNSName)
	}
}

// checkID refuses what no workload can be: labguard itself, which no list may let in.
func (c *Configuration) checkID(field, text string) error {
	id, err := ParseID(text)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if id.Domain == c.TrustDomain && !id.Under(workloadSegment) {
		return fmt.Errorf("%s: is of the trust domain of the cluster and not under /%s/", field, workloadSegment)
	}
	return nil
}

func checkAuthority(peer Peer) error {
	switch {
	case peer.Authority == "" && (peer.Fingerprint != "" || peer.DNSName != ""):
		return errors.New("is required with sha256 and dnsName")
	case peer.Authority != "" && peer.ID != "":
		return errors.New("is given beside id, whose trust domain chooses the bundle")
	case peer.Authority != "" && !ValidAuthority(peer.Authority):
		return errors.New("is no name")
	}
	return nil
}

// ValidAuthority says whether name can be that of an external authority, which is a file name as well.
func ValidAuthority(name string) bool {
	return validSegment(name) && len(name) <= 63 && ValidDomain(name)
}

func checkDNSName(name string) error {
	const longest = 253
	if len(name) > longest || strings.ToLower(name) != name || strings.ContainsAny(name, "*/: ") || !ValidDomain(name) {
		return errors.New("dnsName: is no DNS name in lower case, without wildcards")
	}
	return nil
}

func (c *Configuration) checkRevocations() error {
	for id := range c.RevokedBefore {
		if _, err := ParseID(id); err != nil {
			return fmt.Errorf("revokedBefore: a key %w", err)
		}
	}
	return nil
}
