// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// session is a login that has succeeded.
type session struct {
	user, context   string
	methods, groups []string
	at              time.Time
}

// request is one authorization request: not done until somebody has logged in for it.
type request struct {
	id      string
	asked   oidc.AuthRequest
	done    bool
	session session
}

var _ op.AuthRequest = (*request)(nil)

// GetID implements op.AuthRequest.
func (r *request) GetID() string { return r.id }

// GetACR implements op.AuthRequest.
func (r *request) GetACR() string { return r.session.context }

// GetAMR implements op.AuthRequest.
func (r *request) GetAMR() []string { return r.session.methods }

// GetAudience implements op.AuthRequest.
func (r *request) GetAudience() []string { return []string{r.asked.ClientID} }

// GetAuthTime implements op.AuthRequest.
func (r *request) GetAuthTime() time.Time { return r.session.at }

// GetClientID implements op.AuthRequest.
func (r *request) GetClientID() string { return r.asked.ClientID }

// GetNonce implements op.AuthRequest.
func (r *request) GetNonce() string { return r.asked.Nonce }

// GetRedirectURI implements op.AuthRequest.
func (r *request) GetRedirectURI() string { return r.asked.RedirectURI }

// GetResponseType implements op.AuthRequest.
func (r *request) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }

// GetResponseMode implements op.AuthRequest.
func (r *request) GetResponseMode() oidc.ResponseMode { return r.asked.ResponseMode }

// GetScopes implements op.AuthRequest.
func (r *request) GetScopes() []string { return r.asked.Scopes }

// GetState implements op.AuthRequest.
func (r *request) GetState() string { return r.asked.State }

// GetSubject implements op.AuthRequest.
func (r *request) GetSubject() string { return r.session.user }

// Done implements op.AuthRequest.
func (r *request) Done() bool { return r.done }

// GetCodeChallenge implements op.AuthRequest.
func (r *request) GetCodeChallenge() *oidc.CodeChallenge {
	if r.asked.CodeChallenge == "" {
		return nil
	}
	return &oidc.CodeChallenge{Challenge: r.asked.CodeChallenge, Method: r.asked.CodeChallengeMethod}
}

// renewal is the request for new tokens in the place of older ones.
type renewal struct {
	session session
	scopes  []string
}

var _ op.RefreshTokenRequest = (*renewal)(nil)

// GetAMR implements op.RefreshTokenRequest.
func (r *renewal) GetAMR() []string { return r.session.methods }

// GetAudience implements op.RefreshTokenRequest.
func (*renewal) GetAudience() []string { return []string{ClientID} }

// GetAuthTime implements op.RefreshTokenRequest.
func (r *renewal) GetAuthTime() time.Time { return r.session.at }

// GetClientID implements op.RefreshTokenRequest.
func (*renewal) GetClientID() string { return ClientID }

// GetScopes implements op.RefreshTokenRequest.
func (r *renewal) GetScopes() []string { return r.scopes }

// GetSubject implements op.RefreshTokenRequest.
func (r *renewal) GetSubject() string { return r.session.user }

// SetCurrentScopes narrows what the new tokens are good for.
func (r *renewal) SetCurrentScopes(scopes []string) { r.scopes = slices.Clone(scopes) }
