// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

var instant = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// authority is a certificate that ends at an instant.
func authority(t *testing.T, name string, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: end.Add(-365 * 24 * time.Hour), NotAfter: end, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"From": "test"}, Bytes: der})
}

func privateKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// subjects are the names in a bundle, and whether it is nothing but certificates.
func subjects(t *testing.T, bundle []byte) string {
	t.Helper()
	var names []string
	for len(bundle) > 0 {
		block, rest := pem.Decode(bundle)
		if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			t.Fatalf("in the bundle: %q", bundle)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, certificate.Subject.CommonName)
		bundle = rest
	}
	return strings.Join(names, " ")
}

func TestTheBundleOfTheWebhooks(t *testing.T) {
	later := instant.Add(100 * 24 * time.Hour)
	a, b, c, d, e := authority(t, "a", later), authority(t, "b", later), authority(t, "c", later), authority(t, "d", later), authority(t, "e", later)
	over, last := authority(t, "over", instant.Add(-time.Second)), authority(t, "last", instant)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("none")})
	tests := map[string]struct {
		earlier, present []byte
		want             string
	}{
		"is the present authority":                             {nil, a, "a"},
		"keeps the earlier one behind it":                      {a, b, "b a"},
		"is the same when nothing has changed":                 {join(b, a), b, "b a"},
		"drops what has expired":                               {join(a, over), b, "b a"},
		"keeps what ends this instant":                         {last, b, "b last"},
		"has at most four, the present one among them":         {join(a, b, c, d), e, "e a b c"},
		"never has a private key in it":                        {nil, join(privateKey(t), a), "a"},
		"passes over what is no certificate":                   {join(garbage, a), join(garbage, b), "b a"},
		"passes over text around the blocks":                   {join([]byte("hello\n"), a), b, "b a"},
		"is empty if there is nothing":                         {nil, nil, ""},
		"keeps the earlier one if the present cannot be read":  {a, []byte("nonsense"), "a"},
		"takes a certificate once, whatever is written beside": {join(a, a), a, "a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			merged := mergeBundles(test.earlier, test.present, instant)
			if got := subjects(t, merged); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if again := mergeBundles(merged, test.present, instant); !bytes.Equal(again, merged) {
				t.Errorf("merged again it is %q, and was %q", subjects(t, again), subjects(t, merged))
			}
		})
	}
}
