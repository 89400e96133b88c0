// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

const loginTimeout = 30 * time.Second

// Login says how somebody logs in.
type Login struct {
	// User is the subject and the preferred_username of the token.
	User string
	// Methods are amr; without any there is no such claim.
	Methods []string
	// Context is acr; empty, there is no such claim. A token that was refreshed has none.
	Context string
	// Ago is how long ago the login was: auth_time is that much before now.
	Ago time.Duration
	// Groups are the claim groups; without any there is no such claim.
	Groups []string
}

// Tokens are what a login gives.
type Tokens struct {
	// ID is the token for Kubernetes.
	ID string
	// Refresh is good for new tokens, once.
	Refresh string
}

// Login logs somebody in with these methods, now, and returns the ID token.
func (p *Provider) Login(t testing.TB, user string, methods ...string) string {
	t.Helper()
	return p.LoginAs(t, Login{User: user, Methods: methods}).ID
}

// LoginAs logs somebody in.
func (p *Provider) LoginAs(t testing.TB, login Login) Tokens {
	t.Helper()
	tokens, err := p.TryLogin(t.Context(), login)
	if err != nil {
		t.Fatalf("log %s in: %v", login.User, err)
	}
	return tokens
}

// TryLogin is LoginAs where it may fail: while the provider is stopped.
func (p *Provider) TryLogin(ctx context.Context, login Login) (Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	party, err := p.party(ctx)
	if err != nil {
		return Tokens{}, err
	}
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	browser := browser{party.HttpClient()}
	toLogin, err := browser.get(ctx, rp.AuthURL(state, party, rp.WithCodeChallenge(oidc.NewSHACodeChallenge(verifier))))
	if err != nil {
		return Tokens{}, fmt.Errorf("ask for a login: %w", err)
	}
	back, err := browser.post(ctx, toLogin, login.form(toLogin.Query().Get("id"), p.key, time.Now()))
	if err != nil {
		return Tokens{}, fmt.Errorf("log in: %w", err)
	}
	answer, err := browser.get(ctx, back.String())
	if err != nil {
		return Tokens{}, fmt.Errorf("get the code: %w", err)
	}
	if got := answer.Query(); got.Get("state") != state || got.Get("code") == "" {
		return Tokens{}, fmt.Errorf("get the code: the provider says %q", got.Get("error"))
	}
	tokens, err := rp.CodeExchange[*oidc.IDTokenClaims](ctx, answer.Query().Get("code"), party, rp.WithCodeVerifier(verifier))
	if err != nil {
		return Tokens{}, fmt.Errorf("exchange the code: %w", err)
	}
	return Tokens{ID: tokens.IDToken, Refresh: tokens.RefreshToken}, nil
}

// Refresh exchanges a refresh token, which is good for one time, for new tokens of the same login.
func (p *Provider) Refresh(ctx context.Context, refresh string) (Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	party, err := p.party(ctx)
	if err != nil {
		return Tokens{}, err
	}
	tokens, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, refresh, "", "")
	if err != nil {
		return Tokens{}, fmt.Errorf("refresh: %w", err)
	}
	return Tokens{ID: tokens.IDToken, Refresh: tokens.RefreshToken}, nil
}

// party is kubectl's side of the protocol. It verifies what it gets, as a client has to.
func (p *Provider) party(ctx context.Context) (rp.RelyingParty, error) {
	scopes := []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeOfflineAccess}
	party, err := rp.NewRelyingPartyOIDC(ctx, p.Issuer(), ClientID, "", redirectURI, scopes, rp.WithHTTPClient(p.Client()), rp.WithAuthStyle(oauth2.AuthStyleInParams))
	if err != nil {
		return nil, fmt.Errorf("discover the provider: %w", err)
	}
	return party, nil
}

// Client is an HTTP client that trusts the provider and follows no redirection.
func (p *Provider) Client() *http.Client {
	transport := &http.Transport{TLSClientConfig: p.certificate.client(), DisableKeepAlives: true, DialContext: p.dial}
	return &http.Client{
		Transport: transport, Timeout: loginTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (p *Provider) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := p.network(func() error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// browser goes where it is sent, one step at a time.
type browser struct{ client *http.Client }

func (b browser) get(ctx context.Context, to string) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, to, http.NoBody)
	if err != nil {
		return nil, err
	}
	return b.redirected(request)
}

func (b browser) post(ctx context.Context, to *url.URL, form url.Values) (*url.URL, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.redirected(request)
}

func (b browser) redirected(request *http.Request) (*url.URL, error) {
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	to, err := response.Location()
	if errors.Is(err, http.ErrNoLocation) {
		return nil, fmt.Errorf("no redirection but %s", response.Status)
	}
	return to, err
}
