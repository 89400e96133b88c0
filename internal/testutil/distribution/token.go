// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package distribution

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	issuer = "the token server of this test"
	keyID  = "the key of this test"
	// tokenLife is what the specification of the token flow takes where a token server does not say.
	tokenLife = time.Minute
)

// tokenServer gives tokens as the distribution specification of the token flow says, for whatever a caller with the password asks.
type tokenServer struct {
	service string
	signer  jose.Signer
}

// newTokenServer also writes the file of the keys whose tokens the registry trusts.
func newTokenServer(t testing.TB, service string) (server *tokenServer, jwks string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatalf("make a signer: %v", err)
	}
	content, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig"}}})
	if err != nil {
		t.Fatalf("write the keys: %v", err)
	}
	jwks = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(jwks, content, 0o600); err != nil {
		t.Fatalf("write the keys: %v", err)
	}
	return &tokenServer{service: service, signer: signer}, jwks
}

// ServeHTTP implements http.Handler.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if username, password, _ := r.BasicAuth(); username != Username || password != Password {
		http.Error(w, "wrong username or password", http.StatusUnauthorized)
		return
	}
	now := time.Now() // the registry checks a token by the time of this machine
	signed, err := jwt.Signed(s.signer).Claims(token.ClaimSet{
		Issuer: issuer, Subject: Username, Audience: token.AudienceList{s.service}, Expiration: now.Add(tokenLife).Unix(),
		NotBefore: now.Add(-tokenLife).Unix(), IssuedAt: now.Unix(), Access: accessOf(r.URL.Query()["scope"]),
	}).Serialize()
	if err != nil {
		http.Error(w, "the token cannot be signed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A JSON Web Token has no character that JSON would escape, and a caller that has gone needs no answer.
	_, _ = fmt.Fprintf(w, `{"token":"%s","expires_in":%d}`, signed, int(tokenLife.Seconds()))
}

// accessOf reads scopes such as repository:lab/lis:pull,push.
func accessOf(scopes []string) []*token.ResourceActions {
	var access []*token.ResourceActions
	for _, scope := range scopes {
		kind, rest, _ := strings.Cut(scope, ":")
		colon := strings.LastIndex(rest, ":")
		if colon < 0 {
			continue
		}
		access = append(access, &token.ResourceActions{Type: kind, Name: rest[:colon], Actions: strings.Split(rest[colon+1:], ",")})
	}
	return access
}
