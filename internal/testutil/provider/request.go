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

func (r *request) GetID() string                      { return r.id }
func (r *request) GetACR() string                     { return r.session.context }
func (r *request) GetAMR() []string                   { return r.session.methods }
func (r *request) GetAudience() []string              { return []string{r.asked.ClientID} }
func (r *request) GetAuthTime() time.Time             { return r.session.at }
func (r *request) GetClientID() string                { return r.asked.ClientID }
func (r *request) GetNonce() string                   { return r.asked.Nonce }
func (r *request) GetRedirectURI() string             { return r.asked.RedirectURI }
func (r *request) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }
func (r *request) GetResponseMode() oidc.ResponseMode { return r.asked.ResponseMode }
func (r *request) GetScopes() []string                { return r.asked.Scopes }
func (r *request) GetState() string                   { return r.asked.State }
func (r *request) GetSubject() string                 { return r.session.user }
func (r *request) Done() bool                         { return r.done }

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

func (r *renewal) GetAMR() []string       { return r.session.methods }
func (*renewal) GetAudience() []string    { return []string{ClientID} }
func (r *renewal) GetAuthTime() time.Time { return r.session.at }
func (*renewal) GetClientID() string      { return ClientID }
func (r *renewal) GetScopes() []string    { return r.scopes }
func (r *renewal) GetSubject() string     { return r.session.user }

// SetCurrentScopes narrows what the new tokens are good for.
func (r *renewal) SetCurrentScopes(scopes []string) { r.scopes = slices.Clone(scopes) }
