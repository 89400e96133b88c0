// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	leafLifetime      = 365 * 24 * time.Hour
	// A certificate with less time left than this is made anew.
	renewBefore = 30 * 24 * time.Hour
	// Clocks of one machine differ little, but they step back at times.
	backdate = time.Hour
)

// An Authority signs certificates.
type Authority struct {
	pair
}

// A pair is a certificate with its key, and the files that hold them.
type pair struct {
	// CertFile and KeyFile are paths of PEM files.
	CertFile, KeyFile string

	certificate *x509.Certificate
	key         crypto.Signer
}

// A Leaf is a certificate that an Authority signed.
type Leaf struct {
	pair
}

// A Subject is whom a certificate is about. API servers take Name as the user
// and Groups as the groups of a client.
type Subject struct {
	Name   string
	Groups []string
	// Hosts are the DNS names and IP addresses of a server; none for a client.
	Hosts []string
}

// NewAuthority loads the authority called name from dir, or makes it.
func NewAuthority(dir, name string) (*Authority, error) {
	p := newPair(dir, name)
	if p.load() {
		return &Authority{p}, nil
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotAfter:              time.Now().Add(authorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if err := p.make(template, nil); err != nil {
		return nil, fmt.Errorf("make authority %s: %w", name, err)
	}
	return &Authority{p}, nil
}

// Issue loads the certificate called name from dir, or makes it.
func (a *Authority) Issue(dir, name string, s Subject) (*Leaf, error) {
	p := newPair(dir, name)
	if p.load() && p.certificate.CheckSignatureFrom(a.certificate) == nil && p.names(s.Hosts) {
		return &Leaf{p}, nil
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: s.Name, Organization: s.Groups},
		NotAfter:    time.Now().Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range s.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if len(s.Hosts) > 0 {
		// etcd is the client of its own gateway, so servers may be clients too.
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if err := p.make(template, a); err != nil {
		return nil, fmt.Errorf("make certificate %s: %w", name, err)
	}
	return &Leaf{p}, nil
}

// names reports whether the certificate is for all hosts: one of an earlier
// version of this program may have fewer.
func (p *pair) names(hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(host string) bool { return p.certificate.VerifyHostname(host) != nil })
}

func newPair(dir, name string) pair {
	return pair{CertFile: filepath.Join(dir, name+".crt"), KeyFile: filepath.Join(dir, name+".key")}
}

// load reads the pair's files and reports whether they can be used. Files that
// cannot be used are replaced, whatever is wrong with them.
func (p *pair) load() bool {
	certPEM, certErr := os.ReadFile(p.CertFile)
	keyPEM, keyErr := os.ReadFile(p.KeyFile)
	if certErr != nil || keyErr != nil {
		return false
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return false
	}
	certificate, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil || time.Until(certificate.NotAfter) < renewBefore {
		return false
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil || !key.PublicKey.Equal(certificate.PublicKey) {
		return false
	}
	p.certificate, p.key = certificate, key
	return true
}

// make fills the pair from template, signed by a, or by itself if a is nil.
func (p *pair) make(template *x509.Certificate, a *Authority) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	const serialBits = 127
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits)); err != nil {
		return err
	}
	template.NotBefore = time.Now().Add(-backdate)
	parent, signer := template, crypto.Signer(key)
	if a != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return err
	}
	if p.certificate, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	p.key = key
	return errors.Join(
		os.WriteFile(p.KeyFile, keyPEM, 0o600),
		os.WriteFile(p.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// NewKey makes a private key without a certificate in file, unless it is there.
func NewKey(file string) error {
	if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, keyPEM, err := newKey()
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	return os.WriteFile(file, keyPEM, 0o600)
}
