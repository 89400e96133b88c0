// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// MaxIdentityBytes is the largest certificate file or key file that is read.
const MaxIdentityBytes = 1 << 16

// Identity is the certificate that we show to peers, with its key.
type Identity struct {
	Certificate tls.Certificate
	// ID is its SPIFFE ID, "" if it has none or several.
	ID string
}

// ParseIdentity reads a certificate chain and its key in PEM. The error never has anything of the key.
func ParseIdentity(certificate, key []byte) (*Identity, error) {
	if len(certificate) > MaxIdentityBytes || len(key) > MaxIdentityBytes {
		return nil, fmt.Errorf("certificate or key has more than %d bytes", MaxIdentityBytes)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, errors.New("certificate and key are no pair, or one of them is cut off")
	}
	// With GODEBUG=x509keypairleaf=0 it would not be there.
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, errors.New("certificate cannot be parsed")
		}
	}
	identity := &Identity{Certificate: pair}
	if id, reason := spiffeID(pair.Leaf); reason == "" {
		identity.ID = id.String()
	}
	return identity, nil
}

// Leaf is the certificate itself.
func (i *Identity) Leaf() *x509.Certificate { return i.Certificate.Leaf }

// Root is the fingerprint of the root of bundle that the identity chains to now, "" if there is none.
func (i *Identity) Root(bundle *Bundle, now time.Time) string {
	if bundle.Empty() {
		return ""
	}
	certificates := []*x509.Certificate{i.Leaf()}
	for _, raw := range i.Certificate.Certificate[1:] {
		if certificate, err := x509.ParseCertificate(raw); err == nil {
			certificates = append(certificates, certificate)
		}
	}
	chains, err := chainTo(bundle, certificates, x509.ExtKeyUsageAny, now)
	if err != nil {
		return ""
	}
	return rootsOf(chains)[0]
}

// Replace says whether next is to be shown instead of current (which may be nil) and, if it is not, or is in spite of something, why. One that the peers
// would refuse never replaces one that they take.
func Replace(current, next *Identity, id string, bundle *Bundle, now time.Time) (take bool, problem string) {
	switch {
	case next.ID != id:
		problem = "the certificate has another identity than the configuration"
	case !bundle.Empty() && next.Root(bundle, now) == "":
		problem = "the certificate does not chain to the roots of its trust domain, or is not valid now"
	default:
		return true, ""
	}
	works := current != nil && current.ID == id && !now.After(current.Leaf().NotAfter) && (bundle.Empty() || current.Root(bundle, now) != "")
	return !works, problem
}
