// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture/access"
)

// FuzzRead gives claims of any form: each text is split at "|" into values.
func FuzzRead(f *testing.F) {
	at := seconds(now)
	for _, seed := range [][6]string{
		{"oidc:mia", "https://idp.example", "mia", "mfa|otp", "aal2", at},
		{"system:serviceaccount:a:b", "", "mi\u0430", "mfa", "", "1.7e+09"},
		{"system:node:n1", "a|b", "ame\u0301lie", strings.Repeat("x|", 70), "\x00", "-1"},
		{"system:", "\xff", "\u200b", "[\"mfa\"]", "true", "9223372036854775807"},
		{"", "{}", strings.Repeat("s", 300), "", "null", strings.Repeat("9", 400)},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5])
	}
	f.Fuzz(func(t *testing.T, name, issuer, subject, methods, context, authTime string) {
		user := authenticationv1.UserInfo{Username: name, Extra: extra{
			"labguard.dev/issuer": strings.Split(issuer, "|"), "labguard.dev/subject": strings.Split(subject, "|"), "labguard.dev/amr": strings.Split(methods, "|"),
			"labguard.dev/acr": strings.Split(context, "|"), "labguard.dev/auth-time": strings.Split(authTime, "|"),
		}}
		got := identity.Read(user, identity.Keys{}, now)
		requireBounded(t, got)
		if !got.Claims || got.User != name {
			t.Fatalf("got %+v", got)
		}
		for what, pair := range map[string][2]string{"issuer": {got.Issuer, issuer}, "subject": {got.Subject, subject}, "context": {got.Context, context}} {
			if pair[0] != "" && pair[0] != pair[1] {
				t.Fatalf("the %s %q became %q", what, pair[1], pair[0])
			}
		}
		for _, method := range got.Methods {
			if !slices.Contains(strings.Split(methods, "|"), method) {
				t.Fatalf("the method %q comes from nowhere", method)
			}
		}
		if number, err := strconv.ParseInt(authTime, 10, 64); !got.AuthTime.IsZero() && (err != nil || got.AuthTime.Unix() != number) {
			t.Fatalf("the time %q became %s", authTime, got.AuthTime)
		}
		for _, raw := range []string{issuer, subject, context, authTime} {
			for _, problem := range got.Problems {
				// Shorter values are parts of the words of a problem by chance.
				if len(raw) > 40 && strings.Contains(problem, raw) {
					t.Fatalf("the problem %q repeats %q", problem, raw)
				}
			}
		}
		decides(t, got)
	})
}

// requireBounded checks what holds of all facts, whatever they come from.
func requireBounded(t *testing.T, got identity.Facts) {
	t.Helper()
	for _, value := range append([]string{got.Issuer, got.Subject, got.Context}, got.Methods...) {
		if len(value) > 256 || !utf8.ValidString(value) || strings.ContainsAny(value, "\x00\r\n\x1b\u200b\u202e") {
			t.Fatalf("the value %q was let in", value)
		}
	}
	if len(got.Methods) > 64 || !slices.IsSorted(got.Methods) || len(slices.Compact(slices.Clone(got.Methods))) != len(got.Methods) || slices.Contains(got.Methods, "") {
		t.Fatalf("methods %q", got.Methods)
	}
	if len(got.Problems) > 6 {
		t.Fatalf("%d problems", len(got.Problems))
	}
	for _, problem := range got.Problems {
		if len(problem) > 200 || !utf8.ValidString(problem) || strings.ContainsAny(problem, "\x00\r\n\x1b") {
			t.Fatalf("the problem %q", problem)
		}
	}
	if at := got.AuthTime; !at.IsZero() && (at.Year() < 2000 || at.After(now.Add(5*time.Minute))) {
		t.Fatalf("a login at %s", at)
	}
}

// decides checks that what was read never gets anybody in by itself: with the wrong issuer, or without mfa, a rule refuses.
func decides(t *testing.T, person identity.Facts) {
	t.Helper()
	answer := access.Decide(access.Input{
		Policy: access.Arrange(access.Settings{
			Providers:    []access.Provider{{Issuer: "https://idp.example", ProvesMethods: true, ProvesAuthTime: true}},
			Requirements: map[string][]access.Requirement{"lab": {{Workload: "lis", Enforce: true, MFA: &access.Rule{MaxAge: time.Hour}}}},
		}),
		Person: person, Request: access.Request{Cover: access.Access, Namespace: "lab"}, Now: now,
	})
	proven := person.Issuer == "https://idp.example" && slices.Contains(person.Methods, "mfa") && !person.AuthTime.IsZero()
	if answer.Allowed && !proven || answer.Allowed && person.Kind != access.KindPerson {
		t.Fatalf("%+v gets in for %q", person, answer.Reason)
	}
}
