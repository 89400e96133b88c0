// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// Prefix stands before the names of users and groups of every provider: users of two providers may have the same name.
const Prefix = "oidc:"

// The expressions by which claims become values of userInfo.extra, as in config/authentication.
const (
	issuerExpression   = "claims.iss"
	subjectExpression  = "claims.sub"
	methodsExpression  = "has(claims.amr) && type(claims.amr) == list && dyn(claims.amr).all(method, type(method) == string) ? dyn(claims.amr) : []"
	contextExpression  = "has(claims.acr) && type(claims.acr) == string ? claims.acr : ''"
	authTimeExpression = "has(claims.auth_time) && type(claims.auth_time) == double && claims.auth_time >= 0.0 && claims.auth_time < 100000000000.0 ? " +
		"string(int(claims.auth_time)) : ''"
)

// Configuration is the AuthenticationConfiguration, in YAML, of an API server that takes tokens of these providers. Without any it is one that takes none:
// to start with, where the providers come later.
func Configuration(providers ...*Provider) string {
	entries := make([]map[string]any, 0, len(providers))
	for _, p := range providers {
		entries = append(entries, map[string]any{
			"issuer": map[string]any{"url": p.Issuer(), "audiences": []string{ClientID}, "certificateAuthority": p.CertificateAuthority()},
			"claimMappings": map[string]any{
				"username": map[string]any{"claim": "sub", "prefix": Prefix},
				"groups":   map[string]any{"claim": "groups", "prefix": Prefix},
				"extra": []map[string]any{
					{"key": "labguard.dev/issuer", "valueExpression": issuerExpression},
					{"key": "labguard.dev/subject", "valueExpression": subjectExpression},
					{"key": "labguard.dev/amr", "valueExpression": methodsExpression},
					{"key": "labguard.dev/acr", "valueExpression": contextExpression},
					{"key": "labguard.dev/auth-time", "valueExpression": authTimeExpression},
				},
			},
		})
	}
	encoded, err := yaml.Marshal(map[string]any{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": entries})
	if err != nil {
		return fmt.Sprintf("# %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return string(encoded)
}
