// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// Life is how long a certificate lives by default.
const Life = 14 * 24 * time.Hour

// Authority is a certificate authority.
type Authority struct {
	t           testing.TB
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// above are the certificates between this authority and its root, this one first; none for a root.
	above []*x509.Certificate
}

// Leaf is what a certificate says. The zero value of a field is left out of it.
type Leaf struct {
	// URIs and Names are its subject alternative names.
	URIs, Names []string
	// NotBefore and NotAfter are its life. Default: from an hour ago, for Life.
	NotBefore, NotAfter time.Time
	// Usages are its extended key usages. Default: server and client authentication. NoUsages leaves the extension out.
	Usages   []x509.ExtKeyUsage
	NoUsages bool
	// Authority makes it the certificate of an authority.
	Authority bool
}

// Issued is a certificate with its key.
type Issued struct {
	Certificate *x509.Certificate
	// Chain and Key are in PEM.
	Chain, Key []byte
}

// NewAuthority makes a root that is valid now.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	return NewAuthorityAt(t, name, time.Now())
}

// NewAuthorityAt makes a root that is valid for five years before and after an instant.
func NewAuthorityAt(t testing.TB, name string, now time.Time) *Authority {
	t.Helper()
	key := newKey(t)
	template := authorityTemplate(t, name, now.AddDate(-5, 0, 0), now.AddDate(5, 0, 0))
	return &Authority{t: t, Certificate: create(t, template, template, key, key), key: key}
}

// Intermediate makes an authority under this one.
func (a *Authority) Intermediate(name string) *Authority {
	a.t.Helper()
	key := newKey(a.t)
	template := authorityTemplate(a.t, name, a.Certificate.NotBefore, a.Certificate.NotAfter)
	certificate := create(a.t, template, a.Certificate, key, a.key)
	return &Authority{t: a.t, Certificate: certificate, key: key, above: append([]*x509.Certificate{certificate}, a.above...)}
}

func authorityTemplate(t testing.TB, name string, notBefore, notAfter time.Time) *x509.Certificate {
	t.Helper()
	return &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// PEM is the certificate of the authority.
func (a *Authority) PEM() []byte { return certificatePEM(a.Certificate) }

// Text is PEM as a string.
func (a *Authority) Text() string { return string(a.PEM()) }

// KeyText is the key of the authority in PEM.
func (a *Authority) KeyText() string {
	a.t.Helper()
	return string(keyPEM(a.t, a.key))
}

// Fingerprint is the SHA-256 of the certificate in lower-case hexadecimal.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// Issue makes a certificate.
func (a *Authority) Issue(leaf Leaf) Issued {
	a.t.Helper()
	if leaf.NotBefore.IsZero() {
		leaf.NotBefore = time.Now().Add(-time.Hour)
	}
	if leaf.NotAfter.IsZero() {
		leaf.NotAfter = leaf.NotBefore.Add(Life)
	}
	if leaf.Usages == nil && !leaf.NoUsages {
		leaf.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	template := &x509.Certificate{
		SerialNumber: serial(a.t), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: leaf.Usages, DNSNames: leaf.Names, BasicConstraintsValid: true, IsCA: leaf.Authority,
	}
	for _, text := range leaf.URIs {
		uri, err := url.Parse(text)
		if err != nil {
			a.t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	key := newKey(a.t)
	certificate := create(a.t, template, a.Certificate, key, a.key)
	chain := certificatePEM(certificate)
	for _, above := range a.above {
		chain = append(chain, certificatePEM(above)...)
	}
	return Issued{Certificate: certificate, Chain: chain, Key: keyPEM(a.t, key)}
}

// TLS is the pair for crypto/tls.
func (i Issued) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(i.Chain, i.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func create(t testing.TB, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func keyPEM(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

func certificatePEM(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}
