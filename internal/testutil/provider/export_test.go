// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// ExchangeWithout logs somebody in and hands in the code with a verifier that is not the challenge's. It returns why that fails.
func (p *Provider) ExchangeWithout(t *testing.T, user string) string {
	t.Helper()
	party, err := p.party(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	browser := browser{party.HttpClient()}
	toLogin, err := browser.get(t.Context(), rp.AuthURL("state", party, rp.WithCodeChallenge(oidc.NewSHACodeChallenge("one verifier"))))
	if err != nil {
		t.Fatal(err)
	}
	back, err := browser.post(t.Context(), toLogin, Login{User: user}.form(toLogin.Query().Get("id"), p.key, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := browser.get(t.Context(), back.String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = rp.CodeExchange[*oidc.IDTokenClaims](t.Context(), answer.Query().Get("code"), party, rp.WithCodeVerifier("another verifier"))
	if err == nil {
		t.Fatal("a code was good without its verifier")
	}
	return err.Error()
}
