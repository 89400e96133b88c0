// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authentication

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
)

const tokenLife = time.Hour

// Issuer is one entry of a configuration, with a key that signs for it.
type Issuer struct {
	entry  apiserver.JWTAuthenticator
	key    *ecdsa.PrivateKey
	signer jose.Signer
	server authenticator.Token
}

// NewIssuer makes the authenticator of an entry. It ends with the context.
func NewIssuer(ctx context.Context, entry apiserver.JWTAuthenticator) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		return nil, fmt.Errorf("make a signer: %w", err)
	}
	issuer := &Issuer{entry: entry, key: key, signer: signer}
	issuer.server, err = oidc.New(ctx, oidc.Options{JWTAuthenticator: entry, KeySet: issuer, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms()})
	if err != nil {
		return nil, fmt.Errorf("make the authenticator: %w", err)
	}
	return issuer, nil
}

// VerifySignature implements the key set of the API server's library.
func (i *Issuer) VerifySignature(_ context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	return signed.Verify(i.key.Public())
}

// User is who the API server takes the holder of a token with these claims for. Issuer, audience and times are those of a good token where the claims say
// nothing else.
func (i *Issuer) User(ctx context.Context, claims map[string]any) (authenticationv1.UserInfo, error) {
	all := map[string]any{
		"iss": i.entry.Issuer.URL, "aud": i.entry.Issuer.Audiences[0], "iat": time.Now().Unix(), "exp": time.Now().Add(tokenLife).Unix(),
	}
	maps.Copy(all, claims)
	payload, err := json.Marshal(all)
	if err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("sign a token: %w", err)
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("sign a token: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return authenticationv1.UserInfo{}, fmt.Errorf("sign a token: %w", err)
	}
	response, known, err := i.server.AuthenticateToken(ctx, token)
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	if !known {
		return authenticationv1.UserInfo{}, errors.New("the token is of another issuer")
	}
	return UserInfo(response.User), nil
}

// UserInfo is a user as admission gets to know it.
func UserInfo(from user.Info) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: from.GetName(), UID: from.GetUID(), Groups: from.GetGroups()}
	for key, values := range from.GetExtra() {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[key] = values
	}
	return info
}
