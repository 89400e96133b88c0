// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"slices"
	"time"

	"github.com/labguard/labguard/internal/posture/access"
)

const (
	idp      = "https://idp.example"
	entra    = "https://entra.example"
	google   = "https://google.example"
	ci       = "https://ci.example"
	lab      = "pathology"
	phishing = "phishing-basics"
)

var now = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)

// settings are a cluster with three providers, a listed machine, and one LabWorkload that enforces a login of the last 12 hours and a course.
func settings(change ...func(*access.Settings)) access.Settings {
	s := access.Settings{
		Providers: []access.Provider{
			{Issuer: idp, ProvesMethods: true, ProvesContext: true, ProvesAuthTime: true},
			{Issuer: entra, ProvesContext: true, ProvesAuthTime: true, Rule: access.Override{Contexts: []string{"c1"}}},
			{Issuer: google},
		},
		Machines: []access.Machine{{Namespace: "flux-system", Name: "kustomize"}, {User: "deployer"}, {User: "runner", Issuer: ci}},
		Requirements: map[string][]access.Requirement{lab: {{
			Workload: "lis", Enforce: true, MFA: &access.Rule{MaxAge: 12 * time.Hour}, Training: &access.Courses{Names: []string{phishing}},
		}}},
	}
	for _, each := range change {
		each(&s)
	}
	return s
}

// requirement changes the one LabWorkload.
func requirement(change func(*access.Requirement)) func(*access.Settings) {
	return func(s *access.Settings) {
		each := s.Requirements[lab][0]
		mfa, training := *each.MFA, *each.Training
		each.MFA, each.Training = &mfa, &training
		change(&each)
		s.Requirements[lab] = []access.Requirement{each}
	}
}

func audit(r *access.Requirement) { r.Enforce = false }
func warn(r *access.Requirement) {
	r.MFA.OnUnproven, r.Training.OnUnproven = access.UnprovenWarn, access.UnprovenWarn
}
func asks(change func(*access.Rule)) func(*access.Settings) {
	return requirement(func(r *access.Requirement) { change(r.MFA) })
}

// person is somebody who has logged in with a second factor an hour ago.
func person(change ...func(*access.Person)) access.Person {
	p := access.Person{
		User: "oidc:mia", Groups: []string{"system:authenticated", "lab"}, Kind: access.KindPerson, Claims: true, Issuer: idp, Subject: "mia",
		Methods: []string{"mfa", "otp", "pwd"}, AuthTime: now.Add(-time.Hour),
	}
	for _, each := range change {
		each(&p)
	}
	return p
}

func loggedIn(methods ...string) func(*access.Person) {
	return func(p *access.Person) { p.Methods = methods }
}

func ago(age time.Duration) func(*access.Person) {
	return func(p *access.Person) { p.AuthTime = now.Add(-age) }
}

func at(issuer string) func(*access.Person) { return func(p *access.Person) { p.Issuer = issuer } }

func member(group string) func(*access.Person) {
	return func(p *access.Person) { p.Groups = append(slices.Clone(p.Groups), group) }
}

// nobody is a user without claims, as with a client certificate.
func nobody(user string, groups ...string) access.Person {
	return access.Person{User: user, Groups: groups, Kind: access.KindPerson}
}

func serviceAccount(namespace, name string) access.Person {
	return access.Person{
		User: "system:serviceaccount:" + namespace + ":" + name, Kind: access.KindServiceAccount, Namespace: namespace, Name: name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}
}

func system(user string) access.Person { return access.Person{User: user, Kind: access.KindSystem} }

func node(name string) access.Person {
	return access.Person{User: "system:node:" + name, Kind: access.KindNode, Name: name, Groups: []string{"system:nodes"}}
}

func claiming(p access.Person) access.Person {
	p.Claims, p.Issuer, p.Subject, p.Methods, p.AuthTime = true, idp, "mia", []string{"mfa"}, now
	return p
}

func exec() access.Request {
	return access.Request{Cover: access.Access, Operation: "CONNECT", Resource: "pods", Subresource: "exec", Namespace: lab, Name: "lis-0"}
}

func change(operation, resource, name string) access.Request {
	return access.Request{Cover: access.Change, Operation: operation, Resource: resource, Namespace: lab, Name: name}
}

func token(namespace, name string) access.Request {
	return access.Request{Cover: access.Token, Operation: "CREATE", Resource: "serviceaccounts", Subresource: "token", Namespace: namespace, Name: name}
}

// records are the courses of each subject of each issuer.
type records map[[2]string][]string

func (r records) missing(issuer, subject string, courses *access.Courses) []string {
	var missing []string
	for _, course := range courses.Names {
		if !slices.Contains(r[[2]string{issuer, subject}], course) {
			missing = append(missing, course)
		}
	}
	return missing
}

var trained = records{{idp, "mia"}: {phishing}, {entra, "mia"}: {phishing}, {google, "mia"}: {phishing}}
