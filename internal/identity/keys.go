// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"cmp"
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Keys are the keys of userInfo.extra under which the claims of a login arrive. An empty key is the one of DefaultKeys.
type Keys struct {
	Issuer, Subject, Methods, Context, AuthTime string
}

// DefaultKeys are the keys of which labguard's documentation speaks.
func DefaultKeys() Keys {
	return Keys{
		Issuer: v1alpha1.ClaimIssuer, Subject: v1alpha1.ClaimSubject, Methods: v1alpha1.ClaimMethods, Context: v1alpha1.ClaimContext,
		AuthTime: v1alpha1.ClaimAuthTime,
	}
}

func (k Keys) withDefaults() Keys {
	standard := DefaultKeys()
	return Keys{
		Issuer: cmp.Or(k.Issuer, standard.Issuer), Subject: cmp.Or(k.Subject, standard.Subject), Methods: cmp.Or(k.Methods, standard.Methods),
		Context: cmp.Or(k.Context, standard.Context), AuthTime: cmp.Or(k.AuthTime, standard.AuthTime),
	}
}

func (k Keys) all() []string {
	return []string{k.Issuer, k.Subject, k.Methods, k.Context, k.AuthTime}
}

// Source is one issuer and the keys under which its claims arrive.
type Source struct {
	Issuer string
	Keys   Keys
}

// distinct are the different sets of keys of all sources, in an order that does not depend on theirs; at least the default ones.
func distinct(sources []Source) []Keys {
	keys := []Keys{DefaultKeys()}
	for _, source := range sources {
		keys = append(keys, source.Keys.withDefaults())
	}
	slices.SortFunc(keys, func(a, b Keys) int { return slices.Compare(a.all(), b.all()) })
	return slices.Compact(keys)
}
