// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// maxAuthorities bounds the bundle. An authority lives for a year and is replaced before its end, so two are the normal most.
const maxAuthorities = 4

// mergeBundles puts the present authority first and keeps earlier ones until they expire: while an authority is being replaced, replicas
// serve leaves of both.
func mergeBundles(earlier, present []byte, now time.Time) []byte {
	var merged bytes.Buffer
	seen := map[string]bool{}
	for _, bundle := range [][]byte{present, earlier} {
		for len(seen) < maxAuthorities {
			var block *pem.Block
			if block, bundle = pem.Decode(bundle); block == nil {
				break
			}
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil || now.After(certificate.NotAfter) || seen[string(block.Bytes)] {
				continue
			}
			seen[string(block.Bytes)] = true
			merged.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}))
		}
	}
	return merged.Bytes()
}
