// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider_test

import (
	"testing"
	"time"

	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/testutil/provider"
)

// A login at the provider goes through the API server's authenticator and labguard's reading to the decision: nothing in between is made up.
func TestLoginsAreDecidedOn(t *testing.T) {
	p, stranger := provider.New(t, provider.ForgetMethods()), provider.New(t)
	servers := map[*provider.Provider]func(string) identity.Facts{}
	for _, each := range []*provider.Provider{p, stranger} {
		server := apiServer(t, each)
		servers[each] = func(token string) identity.Facts {
			return identity.Recognise(authenticated(t, server, token), []identity.Source{{Issuer: p.Issuer()}}, time.Now())
		}
	}
	policy := access.Arrange(access.Settings{
		Providers: []access.Provider{{Issuer: p.Issuer(), ProvesMethods: true, ProvesContext: true, ProvesAuthTime: true}},
		Requirements: map[string][]access.Requirement{"lab": {{
			Workload: "lis", Enforce: true,
			MFA:      &access.Rule{MaxAge: 12 * time.Hour, Methods: [][]string{{"pwd", "otp"}, {"hwk"}}},
			Training: &access.Courses{Names: []string{"phishing-basics"}},
		}}},
	})
	refreshed, err := p.Refresh(t.Context(), p.LoginAs(t, provider.Login{User: "ann", Methods: []string{"pwd", "otp"}}).Refresh)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		of    *provider.Provider
		token string
		want  access.Reason
	}{
		"two factors":           {p, p.Login(t, "ann", "pwd", "otp"), access.ReasonProven},
		"a security key":        {p, p.Login(t, "ann", "hwk"), access.ReasonProven},
		"a password":            {p, p.Login(t, "ann", "pwd"), access.ReasonMethodsMissing},
		"half of two sets":      {p, p.Login(t, "ann", "otp", "sms"), access.ReasonMethodsMissing},
		"yesterday":             {p, p.LoginAs(t, provider.Login{User: "ann", Methods: []string{"hwk"}, Ago: 24 * time.Hour}).ID, access.ReasonLoginTooOld},
		"this morning":          {p, p.LoginAs(t, provider.Login{User: "ann", Methods: []string{"hwk"}, Ago: 11 * time.Hour}).ID, access.ReasonProven},
		"tomorrow":              {p, p.LoginAs(t, provider.Login{User: "ann", Methods: []string{"hwk"}, Ago: -24 * time.Hour}).ID, access.ReasonLoginTimeUnknown},
		"refreshed without amr": {p, refreshed.ID, access.ReasonMethodsMissing},
		"without the course":    {p, p.Login(t, "ben", "pwd", "otp"), access.ReasonTrainingMissing},
		"another issuer":        {stranger, stranger.Login(t, "ann", "pwd", "otp"), access.ReasonIssuerUnknown},
		"a look-alike of ann":   {p, p.Login(t, "\u0430nn", "pwd", "otp"), access.ReasonTrainingMissing},
		"a name with a joiner":  {p, p.Login(t, "a\u200dnn", "pwd", "otp"), access.ReasonSubjectUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			answer := access.Decide(access.Input{
				Policy: policy, Person: servers[c.of](c.token), Now: time.Now(),
				Request: access.Request{Cover: access.Access, Operation: "CONNECT", Resource: "pods", Subresource: "exec", Namespace: "lab", Name: "lis-0"},
				Missing: func(issuer, subject string, courses *access.Courses) []string {
					if issuer == p.Issuer() && subject == "ann" {
						return nil
					}
					return courses.Names
				},
			})
			if answer.Reason != c.want || answer.Allowed != (c.want == access.ReasonProven) {
				t.Errorf("allowed %v, %s: %s; want %s", answer.Allowed, answer.Reason, answer.Message, c.want)
			}
		})
	}
}
