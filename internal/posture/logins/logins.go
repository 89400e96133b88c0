// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package logins

import (
	"slices"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
)

const (
	// defaultAge is what the API server writes where mfa.maxAge is not given.
	defaultAge = 12 * time.Hour
	// noAge stands for an age that cannot be read, which the API never lets in: no login is young enough.
	noAge = time.Nanosecond
)

// Rule is what a LabWorkload asks of logins.
func Rule(spec *v1alpha1.MFASpec) access.Rule {
	rule := access.Rule{
		MaxAge: age(spec.MaxAge, defaultAge), Methods: methods(spec.Methods), Contexts: texts[string](spec.Contexts), Covers: texts[access.Cover](spec.Covers),
		OnUnproven: access.UnprovenDeny,
	}
	if spec.OnUnproven == v1alpha1.OnUnprovenWarn {
		rule.OnUnproven = access.UnprovenWarn
	}
	return rule
}

// Provider is what an IdentityProvider says.
func Provider(spec *v1alpha1.IdentityProviderSpec) access.Provider {
	return access.Provider{
		Issuer:         spec.Issuer,
		ProvesMethods:  slices.Contains(spec.Proves, v1alpha1.ProvesMethods),
		ProvesContext:  slices.Contains(spec.Proves, v1alpha1.ProvesContext),
		ProvesAuthTime: slices.Contains(spec.Proves, v1alpha1.ProvesAuthTime),
		Rule:           access.Override{Methods: methods(spec.Methods), Contexts: texts[string](spec.Contexts), MaxAge: age(spec.MaxAge, 0)},
	}
}

func age(text v1alpha1.LoginAge, standard time.Duration) time.Duration {
	if text == "" {
		return standard
	}
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed <= 0 {
		return noAge
	}
	return parsed
}

func methods(sets []v1alpha1.AuthenticationMethods) [][]string {
	var all [][]string
	for _, set := range sets {
		all = append(all, texts[string](set))
	}
	return all
}

func texts[To, From ~string](values []From) []To {
	var all []To
	for _, value := range values {
		all = append(all, To(value))
	}
	return all
}
