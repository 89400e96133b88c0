// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/labguard/labguard/api/v1alpha1"
	airlockconfig "github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// trustDomain is a trust domain whose identities are believed, and its roots. That of trustDomain is the cluster's own; others are federated.
type trustDomain struct {
	Name string `json:"name"`
	// Roots is PEM text.
	Roots string `json:"roots"`
	// Remove are SHA-256 fingerprints of roots that leave at once, whoever uses them.
	Remove []string `json:"remove"`

	roots []posture.Root
}

// externalAuthority signs for peers outside of the cluster, and says what LabWorkloads may name under it.
type externalAuthority struct {
	trustDomain `json:",inline"`
	// Identities are SPIFFE IDs in which "*" is one whole segment, DNSNames and SHA256 name certificates without such an ID.
	Identities []string `json:"identities"`
	DNSNames   []string `json:"dnsNames"`
	SHA256     []string `json:"sha256"`
}

// airlock is the sidecar.
type airlock struct {
	// Image is its image, by digest. Empty: no pod gets it.
	Image string `json:"image"`
}

const (
	maxTrustDomains  = 16
	maxAuthorities   = 16
	maxRootsBytes    = 512 << 10
	maxRemoved       = 64
	maxNamed         = 256
	maxNodeAddresses = 64
	maxImage         = 512
	maxIdentity      = 255
)

var (
	fingerprintPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	imagePattern       = regexp.MustCompile(`^[^@\s]+@sha256:[0-9a-f]{64}$`)
)

// validateTrust checks what decides about who is believed, and reads the roots.
func (c *configuration) validateTrust() error {
	if len(c.TrustDomains) > maxTrustDomains || len(c.ExternalAuthorities) > maxAuthorities {
		return fmt.Errorf("trustDomains, externalAuthorities: at most %d and %d", maxTrustDomains, maxAuthorities)
	}
	size := 0
	for i := range c.TrustDomains {
		one := &c.TrustDomains[i]
		where := fmt.Sprintf("trustDomains[%d]", i)
		size += len(one.Roots)
		limit := validation.DNS1123SubdomainMaxLength - len(v1alpha1.TrustBundlePrefix)
		if len(one.Name) > limit || len(validation.IsDNS1123Subdomain(one.Name)) > 0 {
			return fmt.Errorf("%s.name %q: write a trust domain that can be a part of a name in Kubernetes, such as lab.example, of at most %d characters", where, one.Name, limit)
		}
		if err := one.read(where); err != nil {
			return err
		}
	}
	for i := range c.ExternalAuthorities {
		size += len(c.ExternalAuthorities[i].Roots)
		if err := c.validateAuthority(fmt.Sprintf("externalAuthorities[%d]", i), &c.ExternalAuthorities[i]); err != nil {
			return err
		}
	}
	if size > maxRootsBytes {
		return fmt.Errorf("trustDomains, externalAuthorities: roots of %d bytes; all together may have %d", size, maxRootsBytes)
	}
	if err := c.validateSharing(); err != nil {
		return err
	}
	return c.validateAirlock()
}

// read checks and parses the roots of one entry.
func (d *trustDomain) read(where string) error {
	roots, err := posture.ParseRoots(d.Roots, posture.MaxRoots)
	if err != nil {
		return fmt.Errorf("%s.roots: %w", where, err)
	}
	if len(roots) == 0 && len(d.Remove) == 0 {
		return fmt.Errorf("%s.roots is empty: give the certificates of the roots as PEM text", where)
	}
	if len(d.Remove) > maxRemoved {
		return fmt.Errorf("%s.remove: at most %d", where, maxRemoved)
	}
	for j, fingerprint := range d.Remove {
		if !fingerprintPattern.MatchString(fingerprint) {
			return fmt.Errorf("%s.remove[%d]: write the SHA-256 fingerprint of a certificate as 64 lower-case hexadecimal digits", where, j)
		}
		if slices.ContainsFunc(roots, func(root posture.Root) bool { return root.Fingerprint == fingerprint }) {
			return fmt.Errorf("%s.remove[%d]: %s is in roots as well: take it out there", where, j, fingerprint)
		}
	}
	d.roots = roots
	return nil
}

func (c *configuration) validateAuthority(where string, one *externalAuthority) error {
	if len(validation.IsDNS1123Label(one.Name)) > 0 {
		return fmt.Errorf("%s.name %q: write lower-case letters, digits and '-', such as analyzers", where, one.Name)
	}
	if err := one.read(where); err != nil {
		return err
	}
	if len(one.Identities)+len(one.DNSNames)+len(one.SHA256) > maxNamed {
		return fmt.Errorf("%s: at most %d identities, dnsNames and sha256 together", where, maxNamed)
	}
	for j, pattern := range one.Identities {
		if err := c.validateIdentity(pattern); err != nil {
			return fmt.Errorf("%s.identities[%d] %q: %w", where, j, pattern, err)
		}
	}
	for j, name := range one.DNSNames {
		if len(validation.IsDNS1123Subdomain(name)) > 0 {
			return fmt.Errorf("%s.dnsNames[%d] %q: write a whole DNS name in lower case, without a wildcard", where, j, name)
		}
	}
	for j, fingerprint := range one.SHA256 {
		if !fingerprintPattern.MatchString(fingerprint) {
			return fmt.Errorf("%s.sha256[%d]: write the SHA-256 fingerprint of a certificate as 64 lower-case hexadecimal digits", where, j)
		}
	}
	return nil
}

// validateIdentity checks what an authority may vouch for: never for an identity of a trust domain, which has roots of its own.
func (c *configuration) validateIdentity(pattern string) error {
	parsed, err := airlockconfig.ParsePattern(pattern)
	switch {
	case err != nil:
		return fmt.Errorf("it %w: write such as spiffe://vendor.example/analyzer/*", err)
	case len(pattern) > maxIdentity:
		return fmt.Errorf("it has more than %d characters", maxIdentity)
	case parsed.Domain == c.TrustDomain:
		return errors.New("it is in labguard's own trust domain, where labguard alone gives identities")
	case slices.ContainsFunc(c.TrustDomains, func(one trustDomain) bool { return one.Name == parsed.Domain }):
		return errors.New("it is in a trust domain that trustDomains lists, whose roots alone prove its identities")
	default:
		return nil
	}
}

// validateSharing refuses names that are there twice, and roots that two trust domains share: whoever has the key could give identities of both.
func (c *configuration) validateSharing() error {
	names, owners := map[string]bool{}, map[string]string{}
	for i, one := range c.TrustDomains {
		if names[one.Name] {
			return fmt.Errorf("trustDomains[%d].name: %q is there twice", i, one.Name)
		}
		names[one.Name] = true
		for _, root := range one.roots {
			if other, taken := owners[root.Fingerprint]; taken {
				return fmt.Errorf("trustDomains[%d].roots: %s is a root of %s too: whoever has its key could give identities of both", i, root.Fingerprint, other)
			}
			owners[root.Fingerprint] = one.Name
		}
	}
	names = map[string]bool{}
	for i, one := range c.ExternalAuthorities {
		if names[one.Name] {
			return fmt.Errorf("externalAuthorities[%d].name: %q is there twice", i, one.Name)
		}
		names[one.Name] = true
		for _, root := range one.roots {
			if owners[root.Fingerprint] == c.TrustDomain {
				return fmt.Errorf("externalAuthorities[%d].roots: %s is a root of labguard's own trust domain: an authority of others needs one of its own", i, root.Fingerprint)
			}
		}
	}
	return nil
}

func (c *configuration) validateAirlock() error {
	if image := c.Airlock.Image; image != "" {
		if len(image) > maxImage || !imagePattern.MatchString(image) || !posture.ValidReference(image) {
			return fmt.Errorf("airlock.image %q: name the image by its digest, such as registry.lab.example/labguard/airlock@sha256:<64 hexadecimal digits>", image)
		}
		if len(c.ownRoots()) == 0 {
			return fmt.Errorf("airlock.image: trustDomains has no roots for %q: airlock would trust nobody", c.TrustDomain)
		}
	}
	if len(c.NodeAddresses) > maxNodeAddresses {
		return fmt.Errorf("nodeAddresses: at most %d", maxNodeAddresses)
	}
	for i, block := range c.NodeAddresses {
		if !block.IsValid() || block.Bits() == 0 {
			return fmt.Errorf("nodeAddresses[%d]: write a block of addresses of nodes, such as 10.0.0.0/24", i)
		}
	}
	return nil
}

// ownRoots are the roots of the cluster's own trust domain.
func (c *configuration) ownRoots() []posture.Root {
	for _, one := range c.TrustDomains {
		if one.Name == c.TrustDomain {
			return one.roots
		}
	}
	return nil
}

// clusterIssuer is who issues labguard's own certificate: the first ClusterIssuer that is listed, "" if there is none.
func (c *configuration) clusterIssuer() string {
	for _, one := range c.Issuers {
		if one.Kind == certmanagerv1.ClusterIssuerKind {
			return one.Name
		}
	}
	return ""
}

// trustSources are the trust domains and authorities in the words of posture.
func (c *configuration) trustSources() []posture.TrustSource {
	var sources []posture.TrustSource
	for _, one := range c.TrustDomains {
		kind := posture.FederatedTrust
		if one.Name == c.TrustDomain {
			kind = posture.OwnTrust
		}
		sources = append(sources, posture.TrustSource{Kind: kind, Name: one.Name, Roots: one.roots, Remove: one.Remove})
	}
	for _, one := range c.ExternalAuthorities {
		sources = append(sources, posture.TrustSource{Kind: posture.ExternalTrust, Name: one.Name, Roots: one.roots, Remove: one.Remove})
	}
	return sources
}

// bundles are the bundles as they are mounted into pods. Their digest changes with the configuration, so that the pods concerned look at once.
func (c *configuration) bundles() []transit.Bundle {
	var bundles []transit.Bundle
	for _, one := range c.TrustDomains {
		bundles = append(bundles, transit.Bundle{TrustDomain: one.Name, Name: desired.TrustBundle(one.Name), Digest: one.digest()})
	}
	for _, one := range c.ExternalAuthorities {
		bundles = append(bundles, transit.Bundle{
			Authority: one.Name, Name: desired.AuthorityBundle(one.Name), Digest: one.digest(),
			Identities: one.Identities, DNSNames: one.DNSNames, Fingerprints: one.SHA256,
		})
	}
	return bundles
}

func (d *trustDomain) digest() string {
	sum := sha256.Sum256([]byte(posture.JoinRoots(d.roots) + strings.Join(d.Remove, "\n")))
	return hex.EncodeToString(sum[:])
}

// blocks are address blocks as text, without host bits, which a NetworkPolicy does not take.
func blocks(prefixes []netip.Prefix) []string {
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.Masked().String()
	}
	return texts
}
