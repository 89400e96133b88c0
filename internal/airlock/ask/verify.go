// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"crypto/x509"
	"slices"
	"time"
)

// untrustedError says in one word why a peer is not believed.
type untrustedError struct{ reason string }

// Error is for a person.
func (e *untrustedError) Error() string { return "what it shows is not believed: " + e.reason }

// verify proves that a peer has an identity of the trust domain.
func verify(certificates []*x509.Certificate, id, _, roots string, now time.Time) error {
	if len(certificates) == 0 {
		return &untrustedError{"NoCertificate"}
	}
	leaf, pool, between := certificates[0], x509.NewCertPool(), x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(roots)) {
		return &untrustedError{"NoTrust"}
	}
	for _, certificate := range certificates[1:] {
		between.AddCert(certificate)
	}
	if leaf.IsCA || len(leaf.URIs) != 1 || leaf.URIs[0].String() != id || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) {
		return &untrustedError{"NotAllowed"}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return &untrustedError{"UnknownAuthority"}
	}
	return nil
}
