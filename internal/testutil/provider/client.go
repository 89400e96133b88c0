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

// GetID implements op.Client.
func (client) GetID() string { return ClientID }

// RedirectURIs implements op.Client.
func (client) RedirectURIs() []string { return []string{redirectURI} }

// PostLogoutRedirectURIs implements op.Client.
func (client) PostLogoutRedirectURIs() []string { return nil }

// ApplicationType implements op.Client.
func (client) ApplicationType() op.ApplicationType { return op.ApplicationTypeNative }

// AuthMethod implements op.Client.
func (client) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodNone }

// ResponseTypes implements op.Client.
func (client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

// GrantTypes implements op.Client.
func (client) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
}

// LoginURL implements op.Client.
func (client) LoginURL(id string) string { return loginPath + "?id=" + id }

// AccessTokenType implements op.Client.
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

// IDTokenLifetime implements op.Client.
func (c client) IDTokenLifetime() time.Duration { return c.life }

// DevMode implements op.Client.
func (client) DevMode() bool { return false }

// IsScopeAllowed implements op.Client.
func (client) IsScopeAllowed(string) bool { return false }

// ClockSkew implements op.Client.
func (client) ClockSkew() time.Duration { return 0 }

// IDTokenUserinfoClaimsAssertion has name and groups stand in the ID token, which is all that Kubernetes reads.
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

// RestrictAdditionalIdTokenScopes implements op.Client.
//
//nolint:revive,staticcheck // The interface spells it so.
func (client) RestrictAdditionalIdTokenScopes() func([]string) []string { return same }

// RestrictAdditionalAccessTokenScopes implements op.Client.
func (client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return same }

func same(scopes []string) []string { return scopes }
