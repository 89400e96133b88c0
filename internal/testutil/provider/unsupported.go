// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// What follows is for uses of a provider that Kubernetes does not make: access tokens, secrets of clients, logging out. The provider offers none of them.

// Health implements op.Storage.
func (*store) Health(context.Context) error { return nil }

// TerminateSession implements op.Storage.
func (*store) TerminateSession(context.Context, string, string) error { return errUnsupported }

// RevokeToken implements op.Storage.
func (*store) RevokeToken(context.Context, string, string, string) *oidc.Error {
	return oidc.ErrInvalidRequest().WithDescription("this provider revokes nothing")
}

// GetRefreshTokenInfo implements op.Storage.
func (*store) GetRefreshTokenInfo(context.Context, string, string) (user, token string, err error) {
	return "", "", errUnsupported
}

// AuthorizeClientIDSecret implements op.Storage.
func (*store) AuthorizeClientIDSecret(context.Context, string, string) error { return errUnsupported }

// SetUserinfoFromScopes implements op.Storage, which asks SetUserinfoFromRequest besides.
func (*store) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromToken implements op.Storage.
func (*store) SetUserinfoFromToken(context.Context, *oidc.UserInfo, string, string, string) error {
	return errUnsupported
}

// SetIntrospectionFromToken implements op.Storage.
func (*store) SetIntrospectionFromToken(context.Context, *oidc.IntrospectionResponse, string, string, string) error {
	return errUnsupported
}

// GetPrivateClaimsFromScopes implements op.Storage.
func (*store) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, errUnsupported
}

// GetKeyByIDAndClientID implements op.Storage.
func (*store) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errUnsupported
}

// ValidateJWTProfileScopes implements op.Storage.
func (*store) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, errUnsupported
}
