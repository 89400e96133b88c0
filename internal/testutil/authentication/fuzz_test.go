// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authentication_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/identity"
)

// FuzzClaims gives the claims of a login any JSON. Whatever it is, its owner gets in, and nothing arrives that the token does not say.
func FuzzClaims(f *testing.F) {
	for _, seed := range [][3]string{
		{`["pwd","otp"]`, `"2"`, `1764144000`}, {`"mfa"`, `["2"]`, `"1764144000"`}, {`[["mfa"]]`, `null`, `1e400`}, {`{"mfa":true}`, `{}`, `-0.0`},
		{`["mfa",null]`, `""`, `18446744073709551616`}, {`[]`, `"\u0000"`, `true`}, {`[""]`, `"c1"`, `99999999999.9`},
		{"[" + strings.Repeat(`"mfa",`, 500) + `"otp"]`, `"` + strings.Repeat("c", 2000) + `"`, `1.7e9`}, {`["mf\u0430","\ud800"]`, `"\u200b"`, `0`},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	keycloak := issuer(f, "keycloak")
	f.Fuzz(func(t *testing.T, methods, context, authTime string) {
		claims := base("keycloak")
		for name, text := range map[string]string{"amr": methods, "acr": context, "auth_time": authTime} {
			// Not JSON: no provider could sign it. Numbers that no double holds refuse the whole token, as they do for any program in Go.
			var value any
			if json.Unmarshal([]byte(text), &value) != nil {
				return
			}
			claims[name] = json.RawMessage(text)
		}
		user, err := keycloak.User(t.Context(), claims)
		if err != nil {
			t.Fatalf("amr %s, acr %s, auth_time %s: %v", methods, context, authTime, err)
		}
		var said []string
		_ = json.Unmarshal([]byte(methods), &said)
		for _, method := range user.Extra[keyMethods] {
			if !slices.Contains(said, method) {
				t.Errorf("the method %q does not stand in %s", method, methods)
			}
		}
		if context := user.Extra[keyContext]; len(context) > 1 {
			t.Errorf("%d contexts", len(context))
		}
		if strings.ContainsFunc(strings.Join(user.Extra[keyAuthTime], "|"), func(r rune) bool { return r < '0' || r > '9' }) {
			t.Errorf("a time of %q", user.Extra[keyAuthTime])
		}
		facts := identity.Recognise(user, []identity.Source{{Issuer: user.Extra[keyIssuer][0]}}, now)
		if facts.Subject != "subject-1" || len(facts.Methods) > len(said) {
			t.Errorf("labguard reads %+v", facts)
		}
	})
}
