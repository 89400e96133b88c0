// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// MaxRoots is how many roots one trust domain, or one external authority, may have.
	MaxRoots = 16
	// MaxPublished is how many its bundle may have, with those that are leaving: airlock takes no more.
	MaxPublished = 128
	// maxRootText is how long the PEM text of one of them may be, with what is written around it.
	maxRootText = 8 << 10
	// maxChain is how many certificates of a chain are looked at.
	maxChain = 16
)

// Root is the certificate of an authority that a bundle trusts.
type Root struct {
	// Fingerprint is the SHA-256 of the certificate in lower-case hexadecimal.
	Fingerprint string
	Certificate *x509.Certificate
}

// PEM is the certificate as one PEM block, without headers and without text around it.
func (r Root) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate.Raw}))
}

// ParseRoots reads PEM text: at most so many certificates of authorities, each once. Text between the blocks is left out, and a block that cannot be read is an error,
// since somebody believes in it. Errors never have a part of the text in them. Whether a root has expired is not looked at.
func ParseRoots(text string, most int) ([]Root, error) {
	if len(text) > most*maxRootText {
		return nil, fmt.Errorf("more than %d bytes", most*maxRootText)
	}
	var roots []Root
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is a %q and no CERTIFICATE", len(roots)+1, block.Type)
		}
		root, err := newRoot(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(roots)+1, err)
		}
		if slices.ContainsFunc(roots, func(other Root) bool { return other.Fingerprint == root.Fingerprint }) {
			return nil, fmt.Errorf("certificate %d is there twice (%s)", len(roots)+1, root.Fingerprint)
		}
		roots = append(roots, root)
		if len(roots) > most {
			return nil, fmt.Errorf("more than %d certificates", most)
		}
	}
	if blocks := strings.Count(text, "-----BEGIN"); blocks != len(roots) {
		return nil, fmt.Errorf("%d of %d PEM blocks can be read", len(roots), blocks)
	}
	return roots, nil
}

func newRoot(der []byte) (Root, error) {
	certificate, err := x509.ParseCertificate(der)
	switch {
	case err != nil:
		return Root{}, errors.New("it is no X.509 certificate")
	case !certificate.BasicConstraintsValid || !certificate.IsCA:
		return Root{}, errors.New("it is no certificate of an authority (basic constraints without CA)")
	case certificate.KeyUsage != 0 && certificate.KeyUsage&x509.KeyUsageCertSign == 0:
		return Root{}, errors.New("its key may not sign certificates (key usage without keyCertSign)")
	}
	return Root{Fingerprint: fingerprint(certificate), Certificate: certificate}, nil
}

func fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// JoinRoots is the PEM text of a bundle, in the order of the fingerprints.
func JoinRoots(roots []Root) string {
	var text strings.Builder
	for _, root := range sortedRoots(roots) {
		text.WriteString(root.PEM())
	}
	return text.String()
}

func sortedRoots(roots []Root) []Root {
	return slices.SortedFunc(slices.Values(roots), func(a, b Root) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
}

// FirstExpiry is when the first of some roots expires; zero if there is none.
func FirstExpiry(roots []Root) time.Time {
	var first time.Time
	for _, root := range roots {
		first = Earliest(first, root.Certificate.NotAfter)
	}
	return first
}

// RootsOf are the fingerprints of those roots that a chain stands on: PEM text with the leaf first. The chain is judged at the instant at which the leaf
// became valid, so that it says who signed and not what has expired since. A text that is no chain stands on none.
func RootsOf(chain []byte, roots []Root) []string {
	var leaf *x509.Certificate
	between := x509.NewCertPool()
	for range maxChain {
		var block *pem.Block
		if block, chain = pem.Decode(chain); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		if leaf == nil {
			leaf = certificate
		} else {
			between.AddCert(certificate)
		}
	}
	if leaf == nil {
		return nil
	}
	var under []string
	for _, root := range sortedRoots(roots) {
		pool := x509.NewCertPool()
		pool.AddCert(root.Certificate)
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots: pool, Intermediates: between, CurrentTime: leaf.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err == nil {
			under = append(under, root.Fingerprint)
		}
	}
	return under
}
