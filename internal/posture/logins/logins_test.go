// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package logins_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/logins"
)

func TestARuleIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec v1alpha1.MFASpec
		want access.Rule
	}{
		"nothing is the default age, and Deny": {want: access.Rule{MaxAge: 12 * time.Hour, OnUnproven: access.UnprovenDeny}},
		"everything": {
			spec: v1alpha1.MFASpec{
				MaxAge: "30m", Methods: []v1alpha1.AuthenticationMethods{{"pwd", "otp"}, {"hwk"}}, Contexts: []v1alpha1.AuthenticationContext{"gold"},
				Covers: []v1alpha1.AccessCover{v1alpha1.CoverAccess}, OnUnproven: v1alpha1.OnUnprovenWarn,
			},
			want: access.Rule{
				MaxAge: 30 * time.Minute, Methods: [][]string{{"pwd", "otp"}, {"hwk"}}, Contexts: []string{"gold"}, Covers: []access.Cover{access.Access},
				OnUnproven: access.UnprovenWarn,
			},
		},
		"an age that cannot be read lets no login be young enough": {
			spec: v1alpha1.MFASpec{MaxAge: "a day"}, want: access.Rule{MaxAge: time.Nanosecond, OnUnproven: access.UnprovenDeny},
		},
		"so does one that is none": {
			spec: v1alpha1.MFASpec{MaxAge: "0s"}, want: access.Rule{MaxAge: time.Nanosecond, OnUnproven: access.UnprovenDeny},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, logins.Rule(&test.spec)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAProviderProvesWhatItSays(t *testing.T) {
	t.Parallel()
	spec := v1alpha1.IdentityProviderSpec{
		Issuer: "https://login.lab.example", Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods, v1alpha1.ProvesAuthTime},
		Methods: []v1alpha1.AuthenticationMethods{{"mfa"}}, Contexts: []v1alpha1.AuthenticationContext{"gold"}, MaxAge: "1h",
	}
	want := access.Provider{
		Issuer: "https://login.lab.example", ProvesMethods: true, ProvesAuthTime: true,
		Rule: access.Override{Methods: [][]string{{"mfa"}}, Contexts: []string{"gold"}, MaxAge: time.Hour},
	}
	if diff := cmp.Diff(want, logins.Provider(&spec)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := logins.Provider(&v1alpha1.IdentityProviderSpec{}); got.ProvesMethods || got.ProvesContext || got.ProvesAuthTime || got.Rule.MaxAge != 0 {
		t.Errorf("a provider that says nothing proves %+v", got)
	}
}
