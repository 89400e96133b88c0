// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto/x509"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/internal/airlock/config"
)

// maxChain is how many certificates a peer may show.
const maxChain = 8

// Anchors are the roots that count, and what was revoked.
type Anchors struct {
	// Domain is the trust domain of the cluster.
	Domain string
	// Bundles are the roots by trust domain, Authorities by external authority.
	Bundles     map[string]*Bundle
	Authorities map[string]*Bundle
	// Reserved are trust domains that no external authority may vouch for, beside Domain and those that have a bundle.
	Reserved map[string]bool
	// RevokedBefore refuses certificates of an identity that were made before.
	RevokedBefore map[string]time.Time
}

// Peer is who a peer was proven to be.
type Peer struct {
	// ID is its SPIFFE ID, "" for an external certificate without one.
	ID string
	// Fingerprint is that of its certificate, Names the DNS names in it (for external certificates).
	Fingerprint string
	Names       []string
	// Authority is the external authority that vouches for it; "": the trust domain of ID does.
	Authority string
	// Roots are the fingerprints of all roots that it was verified under; the first one is named in reports.
	Roots []string
	// NotBefore is that of its certificate, NotAfter the first end in its chain.
	NotBefore, NotAfter time.Time
	// Source is the address that it came from.
	Source netip.Addr
}

// Name is the SPIFFE ID, or the fingerprint of an external certificate.
func (p Peer) Name() string {
	if p.ID != "" {
		return p.ID
	}
	return p.Fingerprint
}

// Client judges who connects to a port with these peers.
func Client(certificates []*x509.Certificate, source netip.Addr, peers []config.Peer, anchors *Anchors, now time.Time) (Peer, error) {
	peer, err := identify(certificates, x509.ExtKeyUsageClientAuth, peers, anchors, now)
	peer.Source = source.Unmap()
	if err == nil {
		err = Standing(peer, peers, anchors)
	}
	return peer, named(err, certificates)
}

// Server judges who answers, where the server with this SPIFFE ID is expected.
func Server(certificates []*x509.Certificate, id string, anchors *Anchors, now time.Time) (Peer, error) {
	peers := []config.Peer{{ID: id}}
	peer, err := identify(certificates, x509.ExtKeyUsageServerAuth, peers, anchors, now)
	if err == nil {
		err = Standing(peer, peers, anchors)
	}
	return peer, named(err, certificates)
}

// Standing judges whether a peer that was proven at its handshake may stay: it is still allowed, not revoked, and a root that vouched for it is still
// trusted. The time is no argument: that its certificate ends is no reason to end a connection.
func Standing(peer Peer, peers []config.Peer, anchors *Anchors) error {
	bundle := anchors.bundle(peer)
	// Roots are taken from our own trust domain one by one, and never all of them: if none is there, their delivery failed. Nobody new gets in (NoTrust).
	undelivered := bundle.Empty() && peer.Authority == "" && anchors.own(peer.ID)
	if !undelivered && !bundle.has(peer.Roots) {
		return refuse(RootRemoved)
	}
	if before, found := anchors.RevokedBefore[peer.ID]; found && peer.NotBefore.Before(before) {
		return refuse(Revoked)
	}
	return allowed(peer, peers, anchors.Domain)
}

func (a *Anchors) bundle(peer Peer) *Bundle {
	if peer.Authority != "" {
		return a.Authorities[peer.Authority]
	}
	id, err := config.ParseID(peer.ID)
	if err != nil {
		return nil
	}
	return a.Bundles[id.Domain]
}

func (a *Anchors) own(text string) bool {
	id, err := config.ParseID(text)
	return err == nil && id.Domain == a.Domain
}

// reserved says whether a name is a trust domain that has roots of its own.
func (a *Anchors) reserved(domain string) bool {
	domain = strings.ToLower(domain)
	_, has := a.Bundles[domain]
	return domain == a.Domain || has || a.Reserved[domain]
}

// identify proves who the peer is. It does not say whether it may connect.
func identify(certificates []*x509.Certificate, usage x509.ExtKeyUsage, peers []config.Peer, anchors *Anchors, now time.Time) (Peer, error) {
	if err := plausible(certificates, usage, now); err != nil {
		return Peer{}, err
	}
	leaf := certificates[0]
	id, reason := spiffeID(leaf)
	if reason == "" && anchors.reserved(id.Domain) {
		bundle := anchors.Bundles[id.Domain]
		if bundle.Empty() {
			return Peer{}, refuse(NoTrust)
		}
		chains, err := chainTo(bundle, certificates, usage, now)
		if err != nil {
			return Peer{}, err
		}
		return proven(leaf, id.String(), "", chains), nil
	}
	if reason == ManyIDs || reason == BadID {
		return Peer{}, refuse(reason)
	}
	if slices.ContainsFunc(leaf.URIs, func(uri *url.URL) bool { return anchors.reserved(uri.Hostname()) }) {
		return Peer{}, refuse(ForeignDomain)
	}
	return external(certificates, id, usage, peers, anchors, now)
}

// external proves a peer under one of the authorities that the entries which fit it name.
func external(certificates []*x509.Certificate, id config.ID, usage x509.ExtKeyUsage, peers []config.Peer, anchors *Anchors, now time.Time) (Peer, error) {
	leaf, failure := certificates[0], refuse(NotAllowed)
	if id == (config.ID{}) {
		failure = refuse(NoID)
	}
	claim := Peer{Fingerprint: Fingerprint(leaf), Names: leaf.DNSNames}
	if id != (config.ID{}) {
		claim.ID = id.String()
	}
	tried := map[string]bool{}
	for _, entry := range peers {
		if entry.Authority == "" || tried[entry.Authority] || !fits(claim, entry, anchors.Domain) {
			continue
		}
		tried[entry.Authority] = true
		bundle := anchors.Authorities[entry.Authority]
		if bundle.Empty() {
			failure = refuse(NoTrust)
			continue
		}
		chains, err := chainTo(bundle, certificates, usage, now)
		if err != nil {
			failure = err
			continue
		}
		return proven(leaf, claim.ID, entry.Authority, chains), nil
	}
	return Peer{}, failure
}

// plausible looks at the certificate before anything is trusted. What is refused here would be refused later too, with a worse word.
func plausible(certificates []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) error {
	switch {
	case len(certificates) == 0:
		return refuse(NoCertificate)
	case len(certificates) > maxChain:
		return refuse(ChainTooLong)
	}
	leaf := certificates[0]
	switch {
	case leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return refuse(AuthorityAsLeaf)
	// A certificate without extended key usage is good for everything, and one with "any" too: neither says that it was meant for this.
	case !slices.Contains(leaf.ExtKeyUsage, usage):
		return refuse(WrongUsage)
	case now.Before(leaf.NotBefore):
		return refuse(NotYetValid)
	case now.After(leaf.NotAfter):
		return refuse(Expired)
	}
	return nil
}

// spiffeID is the ID of a certificate that has exactly one URI (X509-SVID, section 5.2), or why there is none.
func spiffeID(leaf *x509.Certificate) (config.ID, Reason) {
	switch len(leaf.URIs) {
	case 0:
		return config.ID{}, NoID
	case 1:
	default:
		return config.ID{}, ManyIDs
	}
	uri := leaf.URIs[0]
	if uri.Scheme != "spiffe" {
		return config.ID{}, NoID
	}
	if uri.User != nil || uri.RawQuery != "" || uri.ForceQuery || uri.Fragment != "" || uri.RawPath != "" {
		return config.ID{}, BadID
	}
	id, err := config.ParseID(uri.String())
	if err != nil {
		return config.ID{}, BadID
	}
	return id, ""
}

// chainTo builds the chains to the roots of one bundle.
func chainTo(bundle *Bundle, certificates []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) ([][]*x509.Certificate, error) {
	intermediates := x509.NewCertPool()
	for _, certificate := range certificates[1:] {
		intermediates.AddCert(certificate)
	}
	chains, err := certificates[0].Verify(x509.VerifyOptions{
		Roots: bundle.pool, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil || len(chains) == 0 {
		return nil, refuse(chainReason(err, now))
	}
	return chains, nil
}

func chainReason(err error, now time.Time) Reason {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return UnknownAuthority
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case invalid.Reason == x509.Expired && invalid.Cert != nil && now.Before(invalid.Cert.NotBefore):
			return NotYetValid
		case invalid.Reason == x509.Expired:
			return Expired
		case invalid.Reason == x509.IncompatibleUsage:
			return WrongUsage
		}
	}
	return BadChain
}

func proven(leaf *x509.Certificate, id, authority string, chains [][]*x509.Certificate) Peer {
	peer := Peer{ID: id, Authority: authority, Fingerprint: Fingerprint(leaf), Roots: rootsOf(chains), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	if authority != "" {
		peer.Names = slices.Clone(leaf.DNSNames)
	}
	for _, certificate := range chains[0] {
		if certificate.NotAfter.Before(peer.NotAfter) {
			peer.NotAfter = certificate.NotAfter
		}
	}
	return peer
}

func rootsOf(chains [][]*x509.Certificate) []string {
	var roots []string
	for _, chain := range chains {
		if root := Fingerprint(chain[len(chain)-1]); !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// named adds who a refused peer says that it is, for the log.
func named(err error, certificates []*x509.Certificate) error {
	var refusal *RefusedError
	if !errors.As(err, &refusal) || len(certificates) == 0 {
		return err
	}
	claim := "sha256:" + Fingerprint(certificates[0])
	if id, reason := spiffeID(certificates[0]); reason == "" {
		claim = id.String()
	}
	return &RefusedError{Reason: refusal.Reason, Peer: claim}
}

// Root is the fingerprint of the first root that vouched for a peer and is trusted still; "" if none is.
func (a *Anchors) Root(peer Peer) string {
	bundle := a.bundle(peer)
	for _, root := range peer.Roots {
		if bundle.has([]string{root}) {
			return root
		}
	}
	return ""
}

// Any says whether there is a root of anybody.
func (a *Anchors) Any() bool {
	for _, bundles := range []map[string]*Bundle{a.Bundles, a.Authorities} {
		for _, bundle := range bundles {
			if !bundle.Empty() {
				return true
			}
		}
	}
	return false
}
