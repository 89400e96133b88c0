// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"cmp"
	"crypto/x509"
	"time"

	"github.com/labguard/labguard/internal/airlock/trust"
)

// untrustedError says in one word why a peer is not believed.
type untrustedError struct{ reason string }

// Error is for a person.
func (e *untrustedError) Error() string { return "what it shows is not believed: " + e.reason }

// verify proves that a peer has an identity of the trust domain, by the rules by which airlocks judge each other.
func verify(certificates []*x509.Certificate, id, domain, roots string, now time.Time) error {
	bundle, err := trust.ParseBundle([]byte(roots))
	if err != nil {
		return &untrustedError{string(trust.NoTrust)}
	}
	_, err = trust.Server(certificates, id, &trust.Anchors{Domain: domain, Bundles: map[string]*trust.Bundle{domain: bundle}}, now)
	if err == nil {
		return nil
	}
	return &untrustedError{string(cmp.Or(trust.ReasonOf(err), trust.BadChain))}
}
