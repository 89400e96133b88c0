// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authority

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

// Life is how long certificates live.
const Life = 336 * time.Hour

// Authority signs certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New makes an authority that is valid for ten years around an instant.
func New(t testing.TB, name string, now time.Time) *Authority {
	t.Helper()
	return newAuthority(t, name, now, nil)
}

// Below makes an authority that another one has signed.
func (a *Authority) Below(t testing.TB, name string, now time.Time) *Authority {
	t.Helper()
	return newAuthority(t, name, now, a)
}

func newAuthority(t testing.TB, name string, now time.Time, above *Authority) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: now.AddDate(-5, 0, 0), NotAfter: now.AddDate(5, 0, 0),
	}
	parent, signer := template, key
	if above != nil {
		parent, signer = above.Certificate, above.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{Certificate: certificate, key: key}
}

// Fingerprint is the SHA-256 of the certificate in lower-case hexadecimal.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// PEM is the certificate as one PEM block.
func (a *Authority) PEM() string { return encode("CERTIFICATE", a.Certificate.Raw) }

// KeyPEM is the key as one PEM block.
func (a *Authority) KeyPEM(t testing.TB) string {
	t.Helper()
	encoded, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PRIVATE KEY", encoded)
}

// Pool has the certificate alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// Leaf is a certificate with its key.
type Leaf struct {
	Certificate    tls.Certificate
	Chain, KeyText string
}

// Issue signs a leaf with the SPIFFE IDs, for server and client, valid from an instant on. change may make it wrong.
func (a *Authority) Issue(t testing.TB, from time.Time, change func(*x509.Certificate), ids ...string) Leaf {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(t), NotBefore: from, NotAfter: from.Add(Life), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, id := range ids {
		uri, err := url.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := Leaf{Chain: encode("CERTIFICATE", der) + a.PEM(), KeyText: encode("PRIVATE KEY", encoded)}
	if leaf.Certificate, err = tls.X509KeyPair([]byte(leaf.Chain), []byte(leaf.KeyText)); err != nil {
		t.Fatal(err)
	}
	return leaf
}

func encode(kind string, content []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		t.Fatal(err)
	}
	return number
}
