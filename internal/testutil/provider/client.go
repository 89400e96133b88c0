// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// redirectURI is where the browser of kubectl's plug-in waits. Login reads the code off the redirection, so nothing listens there.
const redirectURI = "http://localhost:8000/"

// client is kubectl's: a public one, with PKCE instead of a secret.
type client struct {
	life time.Duration
}

var _ op.Client = client{}

func (client) GetID() string                       { return ClientID }
func (client) RedirectURIs() []string              { return []string{redirectURI} }
func (client) PostLogoutRedirectURIs() []string    { return nil }
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }
func (client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodNone }
func (client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

func (client) LoginURL(id string) string           { return loginPath + "?id=" + id }
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration    { return c.life }
func (client) DevMode() bool                       { return false }
func (client) IsScopeAllowed(string) bool          { return false }
func (client) ClockSkew() time.Duration            { return 0 }

// IDTokenUserinfoClaimsAssertion has name and groups stand in the ID token, which is all that Kubernetes reads.
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

func (client) RestrictAdditionalIdTokenScopes() func([]string) []string { return same }

func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return same }

func same(scopes []string) []string { return scopes }
