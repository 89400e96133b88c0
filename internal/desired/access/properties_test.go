// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/identity"
	decision "github.com/labguard/labguard/internal/posture/access"
)

// decides is the decision function, configured as the objects are.
func decides(config access.Config) func(who authenticationv1.UserInfo, cover decision.Cover) decision.Answer {
	settings := decision.Settings{
		BreakGlassGroup: config.BreakGlass,
		Machines:        []decision.Machine{{User: config.LabguardUser}},
		Requirements:    map[string][]decision.Requirement{"pathology": {{Workload: "lis", MFA: &decision.Rule{MaxAge: time.Hour}, Enforce: true}}},
	}
	for _, machine := range config.Machines {
		settings.Machines = append(settings.Machines, decision.Machine(machine))
	}
	var sources []identity.Source
	for _, provider := range config.Providers {
		settings.Providers = append(settings.Providers, decision.Provider{Issuer: provider.Issuer, ProvesMethods: true, ProvesContext: true, ProvesAuthTime: true})
		keys := provider.Keys
		sources = append(sources, identity.Source{Issuer: provider.Issuer, Keys: identity.Keys{
			Issuer: string(keys.Issuer), Subject: string(keys.Subject), Methods: string(keys.Methods), Context: string(keys.Context), AuthTime: string(keys.AuthTime),
		}})
	}
	arranged := decision.Arrange(settings)
	now := time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	return func(who authenticationv1.UserInfo, cover decision.Cover) decision.Answer {
		request := decision.Request{Cover: cover, Namespace: "pathology", Name: "lis-0"}
		if cover == decision.Token {
			request.Namespace, request.Name = "gitops", "argo"
		}
		return decision.Decide(decision.Input{Policy: arranged, Person: identity.Recognise(who, sources, now), Request: request, Now: now})
	}
}

func configs() map[string]access.Config {
	defaults := access.Config{
		Namespaces: []access.Namespace{{Name: "pathology", Access: access.Enforced, Change: access.Enforced, Guarded: true}}, LabguardUser: "labguard", BreakGlass: "system:authenticated",
		Machines: []access.Machine{{Namespace: "gitops", Name: "argo"}, {User: "system:node:one"}, {User: "system:serviceaccount:gitops:argo:x"}},
	}
	twice := full()
	twice.Providers = append(twice.Providers, access.Provider{Issuer: "https://ci.example"}, access.Provider{Issuer: "https://ci.example", Keys: v1alpha1.ClaimKeys{Issuer: "ci.example/iss"}})
	vouched := full()
	vouched.Machines = []access.Machine{
		{Namespace: "gitops", Name: "argo"}, {User: "runner", Issuer: "https://ci.example"}, {User: "system:robot", Issuer: "https://ci.example"},
		{User: "anna", Issuer: "https://idp.example"},
	}
	return map[string]access.Config{"full": full(), "defaults": defaults, "an issuer that is there twice": twice, "machines with issuers": vouched}
}

// someUser is a user who has something of what machines, members of the group and the control plane have.
func someUser(t *rapid.T) authenticationv1.UserInfo {
	who := authenticationv1.UserInfo{
		Username: rapid.SampledFrom([]string{
			"anna", "runner", "system:robot", "", "labguard", full().LabguardUser, "it's-a-robot", "system:admin", "system:anonymous", "system:apiserver", "system:kube-scheduler",
			"system:node:one", "system:node:", "system:serviceaccount:gitops:argo", "system:serviceaccount:gitops:other", "system:serviceaccount:gitops:argo:x",
			"system:serviceaccount:kube-system:job-controller", "system:serviceaccount:kube-system:", "system:serviceaccount:kube-system:a:b", "system:serviceaccount:kube-system2:a",
		}).Draw(t, "user"),
		Groups: rapid.SliceOfN(rapid.SampledFrom([]string{
			"lab", "site:emergency", v1alpha1.BreakGlassGroup, "system:authenticated", "system:nodes", "system:serviceaccounts", "system:serviceaccounts:gitops",
			"system:serviceaccounts:kube-system", "system:serviceaccounts:labguard-system",
		}), 0, 6).Draw(t, "groups"),
	}
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{
		v1alpha1.ClaimIssuer, v1alpha1.ClaimMethods, v1alpha1.ClaimAuthTime, "idp.example/iss", "idp.example/amr", "ci.example/iss", "scopes",
	}), 0, 4, rapid.ID).Draw(t, "keys")
	for _, key := range keys {
		if who.Extra == nil {
			who.Extra = map[string]authenticationv1.ExtraValue{}
		}
		who.Extra[key] = rapid.SampledFrom([]authenticationv1.ExtraValue{
			{"https://ci.example"}, {"https://idp.example"}, {"mfa"}, {"1700000000"}, {""}, {}, {"https://ci.example", "https://ci.example"},
		}).Draw(t, key)
	}
	return who
}

// Whoever is not asked is somebody who would be let through, and whoever the policy refuses would be refused: otherwise there would be two decisions.
func TestNobodyGoesAroundTheDecision(t *testing.T) {
	for name, config := range configs() {
		t.Run(name, func(t *testing.T) {
			decide := decides(config)
			asked := map[string]program{}
			for _, webhook := range access.Webhooks(config)[0].Webhooks {
				short, _, _ := strings.Cut(*webhook.Name, ".")
				asked[short] = compile(t, nil, texts(webhook.MatchConditions)...)
			}
			guard := compiled(t, access.Policies(config)[0])
			rapid.Check(t, func(t *rapid.T) {
				who := someUser(t)
				exec := execBy(who, "pathology")
				token := admissionv1.AdmissionRequest{UserInfo: who, Operation: admissionv1.Create, Namespace: "gitops", Name: "argo", SubResource: "token"}
				for webhook, request := range map[string]admissionv1.AdmissionRequest{"access": exec, "change": exec, "posture": exec, "platform": exec, "tokens": token} {
					cover := map[string]decision.Cover{
						"access": decision.Access, "change": decision.Change, "posture": decision.Posture, "platform": decision.Platform, "tokens": decision.Token,
					}[webhook]
					if answer := decide(who, cover); !answer.Allowed && !all(asked[webhook].on(t, request, false, nil, nil)) {
						t.Fatalf("%s does not ask about %+v, whom the decision refuses: %s", webhook, who, answer.Reason)
					}
				}
				answer := decide(who, decision.Access)
				if refused := guard.refusals(t, exec, false, nil, nil); len(refused) > 0 && answer.Allowed {
					t.Fatalf("the policy refuses %+v, whom the decision lets through: %s", who, answer.Reason)
				}
				observed := all(asked["break-glass"].on(t, exec, false, nil, nil))
				if observed != (answer.Reason == decision.ReasonBreakGlass) {
					t.Fatalf("break glass is observed: %t, of %+v, who is let through: %s", observed, who, answer.Reason)
				}
				if observed && (all(asked["access"].on(t, exec, false, nil, nil)) || all(asked["tokens"].on(t, token, false, nil, nil))) {
					t.Fatalf("%+v has to wait for labguard in an emergency", who)
				}
			})
		})
	}
}

// What Kubernetes and listed machines write never waits for labguard.
func TestWhoNeverWaitsForLabguard(t *testing.T) {
	config := full()
	config.Machines = append(config.Machines, access.Machine{User: "system:robot", Issuer: "https://ci.example"}, access.Machine{User: "system:controller:glbc"})
	asked := map[string]program{}
	for _, webhook := range access.Webhooks(config)[0].Webhooks {
		short, _, _ := strings.Cut(*webhook.Name, ".")
		asked[short] = compile(t, nil, texts(webhook.MatchConditions)...)
	}
	account := func(namespace, name string) authenticationv1.UserInfo {
		return authenticationv1.UserInfo{
			Username: "system:serviceaccount:" + namespace + ":" + name, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
			Extra: said("authentication.kubernetes.io/credential-id", "JTI=1"),
		}
	}
	for name, c := range map[string]struct {
		who    authenticationv1.UserInfo
		waits  bool
		enters bool // it is asked when it wants to get into a pod
	}{
		"a tool that syncs Git":                        {who: account("gitops", "argo"), enters: true},
		"labguard":                                     {who: account("labguard-system", "labguard"), enters: true},
		"another account beside the tool":              {who: account("gitops", "other"), waits: true, enters: true},
		"the garbage collector":                        {who: account("kube-system", "generic-garbage-collector")},
		"a controller manager that is one user":        {who: authenticationv1.UserInfo{Username: "system:kube-controller-manager", Groups: []string{"system:authenticated"}}},
		"a node":                                       {who: authenticationv1.UserInfo{Username: "system:node:one", Groups: []string{"system:nodes"}}},
		"a pipeline for which its issuer vouches":      {who: authenticationv1.UserInfo{Username: "runner", Extra: said("ci.example/iss", "https://ci.example")}, enters: true},
		"somebody else who calls themselves the same":  {who: authenticationv1.UserInfo{Username: "runner", Extra: said("labguard.dev/issuer", "https://idp.example")}, waits: true, enters: true},
		"one with claims of two issuers":               {who: authenticationv1.UserInfo{Username: "runner", Extra: map[string]authenticationv1.ExtraValue{"ci.example/iss": {"https://ci.example"}, "labguard.dev/issuer": {"https://idp.example"}}}, waits: true, enters: true},
		"one whose name is a system user's":            {who: authenticationv1.UserInfo{Username: "system:robot", Extra: said("ci.example/iss", "https://ci.example")}, waits: true, enters: true},
		"a robot with a client certificate":            {who: authenticationv1.UserInfo{Username: "it's-a-robot", Groups: []string{"system:authenticated"}}, enters: true},
		"somebody who logs in under the robot's name":  {who: authenticationv1.UserInfo{Username: "it's-a-robot", Extra: said("labguard.dev/issuer", "https://idp.example")}, waits: true, enters: true},
		"a controller of a managed control plane":      {who: authenticationv1.UserInfo{Username: "system:controller:glbc", Groups: []string{"system:authenticated"}}, enters: true},
		"another one":                                  {who: authenticationv1.UserInfo{Username: "system:l7-lb-controller", Groups: []string{"system:authenticated"}}, waits: true, enters: true},
		"a person":                                     {who: authenticationv1.UserInfo{Username: "anna", Extra: said("labguard.dev/amr", "mfa")}, waits: true, enters: true},
		"an administrator whose name is a system user": {who: authenticationv1.UserInfo{Username: "system:admin", Groups: []string{"system:masters"}}, waits: true, enters: true},
		"the group of the emergency":                   {who: authenticationv1.UserInfo{Username: "sealed", Groups: []string{"site:emergency"}}},
	} {
		t.Run(name, func(t *testing.T) {
			request := execBy(c.who, "pathology")
			for webhook, want := range map[string]bool{"access": c.enters, "access-audit": c.enters, "change": c.waits, "change-audit": c.waits, "posture": c.waits, "posture-audit": c.waits, "platform": c.waits} {
				if got := all(asked[webhook].on(t, request, false, nil, nil)); got != want {
					t.Errorf("%s asks: %t, want %t", webhook, got, want)
				}
			}
		})
	}
}

// A cluster of many namespaces and machines stays below what etcd stores and what an expression may cost.
func TestLongListsFit(t *testing.T) {
	config := full()
	config.Namespaces = nil
	for i := range access.NamespacesPerObject {
		config.Namespaces = append(config.Namespaces, access.Namespace{
			Name: fmt.Sprintf("%063d", i), Access: access.Enforced, Change: access.Enforced, Guarded: true,
		})
	}
	for i := range 500 {
		config.Machines = append(config.Machines, access.Machine{Namespace: fmt.Sprintf("%063d", i), Name: "deployer"}, access.Machine{User: fmt.Sprintf("robot-%d", i), Issuer: "https://ci.example"})
	}
	configuration := access.Webhooks(config)[0]
	for name, object := range map[string]any{"configuration": configuration, "policy": access.Policies(config)[0].Policy} {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 1<<20 {
			t.Errorf("the %s has %d bytes", name, len(text))
		}
	}
	who := authenticationv1.UserInfo{Username: "nobody", Groups: []string{"lab"}, Extra: said("ci.example/iss", "https://ci.example")}
	for i := range 200 {
		who.Groups = append(who.Groups, fmt.Sprint("group-", i))
	}
	request := execBy(who, fmt.Sprintf("%063d", access.NamespacesPerObject-1))
	for _, webhook := range configuration.Webhooks {
		compile(t, nil, texts(webhook.MatchConditions)...).on(t, request, false, nil, nil)
	}
	if got := compiled(t, access.Policies(config)[0]).refusals(t, request, false, nil, nil); len(got) > 0 {
		t.Errorf("refused: %v", got)
	}
}
