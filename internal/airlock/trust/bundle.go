// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

const (
	// MaxBundleBytes is the largest bundle that is read.
	MaxBundleBytes = 1 << 20
	// MaxRoots is how many roots one may have.
	MaxRoots = 128
)

// Bundle is the roots of one trust domain or of one external authority.
type Bundle struct {
	pool  *x509.CertPool
	roots []string
}

// Roots are the SHA-256 fingerprints of the roots, sorted.
func (b *Bundle) Roots() []string {
	if b == nil {
		return nil
	}
	return slices.Clone(b.roots)
}

// Empty says that there is no root, so that nobody can be verified.
func (b *Bundle) Empty() bool { return b == nil || len(b.roots) == 0 }

// has says whether one of the fingerprints is a root.
func (b *Bundle) has(roots []string) bool {
	return b != nil && slices.ContainsFunc(roots, func(root string) bool {
		_, found := slices.BinarySearch(b.roots, root)
		return found
	})
}

// ParseBundle reads roots in PEM. Nothing but space is an empty bundle. A certificate that is no authority is refused, as a bundle with a leaf in it
// would trust exactly that leaf.
func ParseBundle(text []byte) (*Bundle, error) {
	if len(text) > MaxBundleBytes {
		return nil, fmt.Errorf("bundle has more than %d bytes", MaxBundleBytes)
	}
	certificates, err := parseCertificates(text, MaxRoots)
	if err != nil {
		return nil, err
	}
	bundle := &Bundle{pool: x509.NewCertPool()}
	for _, certificate := range certificates {
		if !certificate.BasicConstraintsValid || !certificate.IsCA {
			return nil, errors.New("bundle has a certificate that is no authority")
		}
		bundle.pool.AddCert(certificate)
		bundle.roots = append(bundle.roots, Fingerprint(certificate))
	}
	slices.Sort(bundle.roots)
	bundle.roots = slices.Compact(bundle.roots)
	return bundle, nil
}

// parseCertificates reads certificates in PEM and takes nothing else between them.
func parseCertificates(text []byte, most int) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("there is something else than certificates in PEM")
		}
		if len(certificates) == most {
			return nil, fmt.Errorf("there are more than %d certificates", most)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d: %w", len(certificates)+1, err)
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}

// Fingerprint is the SHA-256 of a certificate in lower-case hexadecimal.
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}
