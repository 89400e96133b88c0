// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const keyBits = 2048

var (
	errUnknown     = errors.New("unknown here, or used before")
	errUnsupported = errors.New("not supported by this provider")
)

// store is what the provider knows: its key, the requests that are under way, and who may renew tokens. It is all in memory.
type store struct {
	life   time.Duration
	forget bool

	mu       sync.Mutex
	key      signingKey
	requests map[string]*request
	codes    map[string]string
	renewals map[string]renewal
}

var (
	_ op.Storage                   = (*store)(nil)
	_ op.CanSetUserinfoFromRequest = (*store)(nil)
)

func newStore() *store {
	return &store{life: TokenLife, requests: map[string]*request{}, codes: map[string]string{}, renewals: map[string]renewal{}}
}

func (s *store) rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = signingKey{id: rand.Text(), key: key}
	return nil
}

// login notes that somebody has logged in for a request.
func (s *store) login(id string, session session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, found := s.requests[id]
	if !found || r.done {
		return errUnknown
	}
	r.done, r.session = true, session
	return nil
}

// CreateAuthRequest implements op.Storage.
func (s *store) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &request{id: rand.Text(), asked: *asked}
	s.requests[r.id] = r
	return r, nil
}

// AuthRequestByID implements op.Storage.
func (s *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, found := s.requests[id]; found {
		return r, nil
	}
	return nil, errUnknown
}

// AuthRequestByCode implements op.Storage. A code is good for one try.
func (s *store) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	s.mu.Lock()
	id := s.codes[code]
	delete(s.codes, code)
	s.mu.Unlock()
	return s.AuthRequestByID(ctx, id)
}

// SaveAuthCode implements op.Storage.
func (s *store) SaveAuthCode(_ context.Context, id, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = id
	return nil
}

// DeleteAuthRequest implements op.Storage.
func (s *store) DeleteAuthRequest(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.requests, id)
	return nil
}

// CreateAccessToken implements op.Storage. Nobody here takes access tokens, so none is kept.
func (s *store) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return rand.Text(), time.Now().Add(s.life), nil
}

// CreateAccessAndRefreshTokens implements op.Storage. A refresh token is good for one time.
func (s *store) CreateAccessAndRefreshTokens(_ context.Context, asked op.TokenRequest, current string) (id, refresh string, expires time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := renewal{scopes: asked.GetScopes()}
	switch from := asked.(type) {
	case *request:
		next.session = from.session
		if s.forget {
			next.session.methods = nil
		}
	case *renewal:
		if _, found := s.renewals[current]; !found {
			return "", "", time.Time{}, errUnknown
		}
		next.session = from.session
		delete(s.renewals, current)
	default:
		return "", "", time.Time{}, errUnsupported
	}
	refresh = rand.Text()
	s.renewals[refresh] = next
	return rand.Text(), refresh, time.Now().Add(s.life), nil
}

// TokenRequestByRefreshToken implements op.Storage.
func (s *store) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.renewals[token]
	if !ok {
		return nil, errUnknown
	}
	return &found, nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest: what the ID token says besides the login.
func (*store) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, asked op.IDTokenRequest, _ []string) error {
	var who session
	switch from := asked.(type) {
	case *request:
		who = from.session
	case *renewal:
		who = from.session
	default:
		return errUnsupported
	}
	info.Subject, info.PreferredUsername = who.user, who.user
	if len(who.groups) > 0 {
		info.AppendClaims("groups", who.groups)
	}
	return nil
}

// GetClientByClientID implements op.Storage.
func (s *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	if id != ClientID {
		return nil, errUnknown
	}
	return client{life: s.life}, nil
}

// SigningKey implements op.Storage.
func (s *store) SigningKey(context.Context) (op.SigningKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key, nil
}

// SignatureAlgorithms implements op.Storage.
func (*store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

// KeySet implements op.Storage.
func (s *store) KeySet(context.Context) ([]op.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []op.Key{publicKey{s.key}}, nil
}

// signingKey is the key of the provider, publicKey what others see of it.
type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

// SignatureAlgorithm implements op.SigningKey.
func (signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Key implements op.SigningKey.
func (k signingKey) Key() any { return k.key }

// ID implements op.SigningKey.
func (k signingKey) ID() string { return k.id }

type publicKey struct{ signingKey }

// Algorithm implements op.Key.
func (publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Use implements op.Key.
func (publicKey) Use() string { return "sig" }

// Key implements op.Key.
func (k publicKey) Key() any { return k.key.Public() }
