// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"github.com/labguard/labguard/internal/testutil/authentication"
	"github.com/labguard/labguard/internal/testutil/provider"
)

const timeout = time.Minute

// apiServer is what the API server makes of tokens of a provider, by its own authenticator: it discovers the provider, fetches its keys and verifies
// signatures as the program does.
func apiServer(t *testing.T, p *provider.Provider) oidc.AuthenticatorTokenWithHealthCheck {
	t.Helper()
	configuration, err := authentication.Load([]byte(provider.Configuration(p)))
	if err != nil {
		t.Fatal(err)
	}
	server, err := oidc.New(t.Context(), oidc.Options{
		JWTAuthenticator: configuration.JWT[0], Client: p.Client(), SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, timeout, true, func(context.Context) (bool, error) {
		return server.HealthCheck() == nil, nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, server.HealthCheck())
	}
	return server
}

func authenticated(t *testing.T, server oidc.AuthenticatorTokenWithHealthCheck, token string) authenticationv1.UserInfo {
	t.Helper()
	response, known, err := server.AuthenticateToken(t.Context(), token)
	if err != nil || !known {
		t.Fatalf("known %v, %v", known, err)
	}
	return authentication.UserInfo(response.User)
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestTokensSayHowWhenAndAsWhomOneLoggedIn(t *testing.T) {
	p := provider.New(t)
	server := apiServer(t, p)
	const anHour = int64(3600)
	for name, c := range map[string]struct {
		login    provider.Login
		methods  []string
		context  []string
		age      int64
		groups   []string
		username string
	}{
		"password alone":       {provider.Login{User: "alice", Methods: []string{"pwd"}}, []string{"pwd"}, nil, 0, nil, "oidc:alice"},
		"two factors":          {provider.Login{User: "bob", Methods: []string{"pwd", "otp"}}, []string{"pwd", "otp"}, nil, 0, nil, "oidc:bob"},
		"a class and no amr":   {provider.Login{User: "carol", Context: "loa2"}, nil, []string{"loa2"}, 0, nil, "oidc:carol"},
		"an hour ago":          {provider.Login{User: "dan", Methods: []string{"mfa"}, Ago: time.Hour}, []string{"mfa"}, nil, anHour, nil, "oidc:dan"},
		"member of groups":     {provider.Login{User: "eve", Groups: []string{"lab", "oncall"}}, nil, nil, 0, []string{"oidc:lab", "oidc:oncall"}, "oidc:eve"},
		"nothing but the name": {provider.Login{User: "fay"}, nil, nil, 0, nil, "oidc:fay"},
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now().Unix()
			user := authenticated(t, server, p.LoginAs(t, c.login).ID)
			after := time.Now().Unix()
			if user.Username != c.username {
				t.Errorf("user name %q, want %q", user.Username, c.username)
			}
			if diff := cmp.Diff(c.groups, user.Groups); diff != "" {
				t.Errorf("groups: -want +got\n%s", diff)
			}
			for key, want := range map[string][]string{
				"labguard.dev/issuer": {p.Issuer()}, "labguard.dev/subject": {c.login.User}, "labguard.dev/amr": c.methods, "labguard.dev/acr": c.context,
			} {
				if diff := cmp.Diff(want, []string(user.Extra[key])); diff != "" {
					t.Errorf("%s: -want +got\n%s", key, diff)
				}
			}
			told, err := strconv.ParseInt(strings.Join(user.Extra["labguard.dev/auth-time"], " "), 10, 64)
			if err != nil || told < before-c.age || told > after-c.age {
				t.Errorf("auth-time %v (%v), want %d to %d", user.Extra["labguard.dev/auth-time"], err, before-c.age, after-c.age)
			}
		})
	}
}

func TestTokensOfOthersAreRefused(t *testing.T) {
	p, other := provider.New(t), provider.New(t)
	server := apiServer(t, p)
	if _, known, err := server.AuthenticateToken(t.Context(), other.Login(t, "alice", "pwd", "otp")); known || err != nil {
		t.Errorf("a token of another issuer: known %v, %v", known, err)
	}
	good := p.Login(t, "alice", "pwd")
	parts := strings.Split(good, ".")
	claims := claimsOf(t, good)
	claims["amr"] = []string{"pwd", "otp"}
	forged, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(forged)
	if _, known, err := server.AuthenticateToken(t.Context(), strings.Join(parts, ".")); known || err == nil || !strings.Contains(err.Error(), "signature") {
		t.Errorf("a token with claims of another one: known %v, %v", known, err)
	}
	if _, known, err := server.AuthenticateToken(t.Context(), good); !known || err != nil {
		t.Errorf("the token itself: known %v, %v", known, err)
	}
}

func TestTokensAreRefreshedFromTheSameLogin(t *testing.T) {
	p := provider.New(t)
	server := apiServer(t, p)
	first := p.LoginAs(t, provider.Login{User: "alice", Methods: []string{"pwd", "otp"}, Context: "loa2", Groups: []string{"lab"}, Ago: time.Hour})
	second, err := p.Refresh(t.Context(), first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	was, is := authenticated(t, server, first.ID), authenticated(t, server, second.ID)
	for _, key := range []string{"labguard.dev/subject", "labguard.dev/amr", "labguard.dev/auth-time"} {
		if diff := cmp.Diff(was.Extra[key], is.Extra[key]); diff != "" {
			t.Errorf("%s differs after a refresh: -before +after\n%s", key, diff)
		}
	}
	if len(was.Extra["labguard.dev/acr"]) != 1 || len(is.Extra["labguard.dev/acr"]) != 0 {
		t.Errorf("acr %q, then %q: want it once, and not after the refresh", was.Extra["labguard.dev/acr"], is.Extra["labguard.dev/acr"])
	}
	if diff := cmp.Diff(was.Groups, is.Groups); diff != "" {
		t.Errorf("groups differ after a refresh: -before +after\n%s", diff)
	}
	if _, err := p.Refresh(t.Context(), first.Refresh); err == nil {
		t.Error("a refresh token was good for a second time")
	}
	if _, err := p.Refresh(t.Context(), second.Refresh); err != nil {
		t.Errorf("the next refresh token: %v", err)
	}
}

func TestRefreshMayForgetMethods(t *testing.T) {
	p := provider.New(t, provider.ForgetMethods())
	first := p.LoginAs(t, provider.Login{User: "alice", Methods: []string{"pwd", "mfa"}})
	second, err := p.Refresh(t.Context(), first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if _, told := claimsOf(t, first.ID)["amr"]; !told {
		t.Error("the first token says nothing of methods")
	}
	if methods, told := claimsOf(t, second.ID)["amr"]; told {
		t.Errorf("the refreshed token says %v", methods)
	}
}

func TestTokensEnd(t *testing.T) {
	p := provider.New(t, provider.WithTokenLife(2*time.Second))
	server := apiServer(t, p)
	token := p.Login(t, "alice", "pwd")
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		_, _, last = server.AuthenticateToken(ctx, token)
		return last != nil, nil
	})
	if err != nil || !strings.Contains(last.Error(), "expired") {
		t.Errorf("a token of two seconds: %v, %v", err, last)
	}
}

func TestStoppedProviderAnswersAgainAtTheSameAddress(t *testing.T) {
	p := provider.New(t)
	server := apiServer(t, p)
	token, issuer := p.Login(t, "alice", "pwd", "otp"), p.Issuer()
	// A token whose key the API server has seen is good while the provider is gone.
	authenticated(t, server, token)
	p.Stop()
	if _, err := p.TryLogin(t.Context(), provider.Login{User: "alice"}); err == nil {
		t.Error("somebody logged in at a stopped provider")
	}
	authenticated(t, server, token)
	p.Start()
	if p.Issuer() != issuer {
		t.Errorf("issuer %s, before %s", p.Issuer(), issuer)
	}
	authenticated(t, server, p.Login(t, "bob", "pwd"))
}

func TestNewKeyIsFetchedWhenATokenNeedsIt(t *testing.T) {
	p := provider.New(t)
	server := apiServer(t, p)
	authenticated(t, server, p.Login(t, "alice", "pwd"))
	p.RotateKey(t)
	token := p.Login(t, "alice", "pwd")
	p.Stop()
	if _, known, err := server.AuthenticateToken(t.Context(), token); known || err == nil {
		t.Errorf("a token with a key that nobody can fetch: known %v, %v", known, err)
	}
	p.Start()
	authenticated(t, server, token)
}

func TestNobodyButTheTestLogsIn(t *testing.T) {
	p := provider.New(t)
	form := url.Values{"id": {"x"}, "key": {"guessed"}, "user": {"alice"}, "method": {"mfa"}, "at": {"1700000000"}}
	response, err := p.Client().PostForm(p.Issuer()+"/login", form)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("status %s", response.Status)
	}
}

func TestCodeNeedsItsVerifier(t *testing.T) {
	p := provider.New(t)
	response, err := p.Client().Get(p.Issuer() + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var discovered struct {
		Issuer        string   `json:"issuer"`
		Authorization string   `json:"authorization_endpoint"`
		Challenges    []string `json:"code_challenge_methods_supported"`
	}
	if err := json.NewDecoder(response.Body).Decode(&discovered); err != nil {
		t.Fatal(err)
	}
	if discovered.Issuer != p.Issuer() || !slices.Contains(discovered.Challenges, "S256") {
		t.Errorf("discovered %+v", discovered)
	}
	// The code challenge is one that belongs to no verifier.
	if got := p.ExchangeWithout(t, "alice"); !strings.Contains(got, "invalid_grant") {
		t.Errorf("a code without its verifier: %s", got)
	}
}

func TestConfigurationWithoutProvidersIsOne(t *testing.T) {
	configuration, err := authentication.Load([]byte(provider.Configuration()))
	if err != nil || len(configuration.JWT) != 0 {
		t.Errorf("got %+v, %v", configuration, err)
	}
}
