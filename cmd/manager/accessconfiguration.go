// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/rights"
)

// accessSettings is what the platform team decides about people and machines. No tenant has a word in it.
type accessSettings struct {
	// BreakGlassGroup is the group whose members are never asked. Default labguard:break-glass.
	BreakGlassGroup string `json:"breakGlassGroup"`
	// Machines are the accounts that pass without a login.
	Machines []machine `json:"machines"`
	// Trusted are accepted although they could go around the rules.
	Trusted []trustedSubject `json:"trusted"`
	// Tokens is what a person needs who takes a token of a listed ServiceAccount.
	Tokens tokenRule `json:"tokens"`
}

// machine is a ServiceAccount, or a user with the issuer that vouches for it.
type machine struct {
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
	User           string `json:"user"`
	// Issuer is empty for a user that shows no claims, such as one with a client certificate.
	Issuer string `json:"issuer"`
}

type trustedSubject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type tokenRule struct {
	// MaxAge is how old the login may be. Default 12h.
	MaxAge *metav1.Duration `json:"maxAge"`
	// Methods and Contexts are as in spec.mfa of a LabWorkload.
	Methods  [][]string `json:"methods"`
	Contexts []string   `json:"contexts"`
}

const (
	maxMachines   = 256
	maxTrusted    = 256
	maxMethodSets = 16
	maxMethods    = 8
	maxContexts   = 16
	maxUserName   = 1024
	maxIssuer     = 512
	minLoginAge   = 5 * time.Minute
	maxLoginAge   = 720 * time.Hour
	systemPrefix  = "system:"
)

var (
	wordPattern   = regexp.MustCompile(`^[[:graph:]]{1,256}$`)
	issuerPattern = regexp.MustCompile(`^https://[[:graph:]]+$`)
)

func (s *accessSettings) validate() error {
	if len(s.Machines) > maxMachines || len(s.Trusted) > maxTrusted {
		return fmt.Errorf("access: at most %d machines and %d trusted", maxMachines, maxTrusted)
	}
	if s.BreakGlassGroup != "" && (v1alpha1.EmergencyGroup(s.BreakGlassGroup) != s.BreakGlassGroup || !isUserName(s.BreakGlassGroup)) {
		return fmt.Errorf("access.breakGlassGroup %q: name a group for emergencies alone, such as %s; everybody is in this one", s.BreakGlassGroup, v1alpha1.BreakGlassGroup)
	}
	seen := map[machine]bool{}
	for i, one := range s.Machines {
		if err := one.validate(); err != nil {
			return fmt.Errorf("access.machines[%d]: %w", i, err)
		}
		if seen[one] {
			return fmt.Errorf("access.machines[%d]: is there twice", i)
		}
		seen[one] = true
	}
	for i, one := range s.Trusted {
		if err := one.validate(); err != nil {
			return fmt.Errorf("access.trusted[%d]: %w", i, err)
		}
	}
	return s.Tokens.validate()
}

func (m machine) validate() error {
	account := m.Namespace != "" || m.ServiceAccount != ""
	switch {
	case account == (m.User != ""):
		return fmt.Errorf("give either namespace and serviceAccount, or user")
	case account && m.Issuer != "":
		return fmt.Errorf("issuer: a ServiceAccount has none")
	case account && !isServiceAccount("system:serviceaccount:"+m.Namespace+":"+m.ServiceAccount):
		return fmt.Errorf("%q is no name of a ServiceAccount, written as namespace and serviceAccount", m.Namespace+"/"+m.ServiceAccount)
	case !account && !isUserName(m.User):
		return fmt.Errorf("user %q: write the name as the API server knows it, without spaces around it", m.User)
	case strings.HasPrefix(m.User, systemPrefix):
		return m.validateSystem()
	case m.Issuer != "" && (!issuerPattern.MatchString(m.Issuer) || len(m.Issuer) > maxIssuer):
		return fmt.Errorf("issuer %q: write the URL in the iss claim of its tokens, such as https://login.lab.example", m.Issuer)
	default:
		return nil
	}
}

// validateSystem looks at names that are Kubernetes' own, or those of a managed control plane.
func (m machine) validateSystem() error {
	switch {
	case strings.HasPrefix(m.User, "system:serviceaccount:"):
		return fmt.Errorf("user %q: write a ServiceAccount as namespace and serviceAccount", m.User)
	case m.User == "system:anonymous" || strings.HasPrefix(m.User, "system:node:"):
		return fmt.Errorf("user %q: this is a node, or everybody", m.User)
	case m.Issuer != "":
		return fmt.Errorf("user %q: names that begin with %q are of the control plane, and no issuer vouches for them: leave issuer out", m.User, systemPrefix)
	default:
		return nil
	}
}

func (t trustedSubject) validate() error {
	broad := rights.Subject{Kind: t.Kind, Namespace: t.Namespace, Name: t.Name}.Broad()
	switch {
	case t.Kind != rbacv1.UserKind && t.Kind != rbacv1.GroupKind && t.Kind != rbacv1.ServiceAccountKind:
		return fmt.Errorf("kind %q: write User, Group or ServiceAccount", t.Kind)
	case (t.Kind == rbacv1.ServiceAccountKind) != (t.Namespace != ""):
		return fmt.Errorf("namespace: a ServiceAccount has one, a User or Group has none")
	case !isUserName(t.Name):
		return fmt.Errorf("name %q: write the name as role bindings have it", t.Name)
	case broad:
		return fmt.Errorf("name %q: this is everybody, whom nobody can trust", t.Name)
	default:
		return nil
	}
}

func (r tokenRule) validate() error {
	if r.MaxAge != nil && (r.MaxAge.Duration < minLoginAge || r.MaxAge.Duration > maxLoginAge) {
		return fmt.Errorf("access.tokens.maxAge %s: write %s to %s", r.MaxAge.Duration, minLoginAge, maxLoginAge)
	}
	if len(r.Methods) > maxMethodSets || len(r.Contexts) > maxContexts {
		return fmt.Errorf("access.tokens: at most %d sets of methods and %d contexts", maxMethodSets, maxContexts)
	}
	for i, set := range r.Methods {
		if len(set) == 0 || len(set) > maxMethods || slices.ContainsFunc(set, isNoWord) {
			return fmt.Errorf("access.tokens.methods[%d]: write 1 to %d methods as they stand in the claim amr, such as [pwd, otp]", i, maxMethods)
		}
	}
	if slices.ContainsFunc(r.Contexts, isNoWord) {
		return fmt.Errorf("access.tokens.contexts: write contexts as they stand in the claim acr")
	}
	return nil
}

func isNoWord(text string) bool { return !wordPattern.MatchString(text) }

// isUserName says whether a text can be the name of a user or group.
func isUserName(text string) bool {
	return text != "" && len(text) <= maxUserName && strings.TrimSpace(text) == text && !strings.ContainsAny(text, "\n\r\x00")
}

// machines are the listed accounts in the words of the decision.
func (s *accessSettings) machines() []access.Machine {
	machines := make([]access.Machine, len(s.Machines))
	for i, one := range s.Machines {
		machines[i] = access.Machine{User: one.User, Issuer: one.Issuer, Namespace: one.Namespace, Name: one.ServiceAccount}
	}
	return machines
}

// tokens is what a person needs who takes a token of a listed machine.
func (s *accessSettings) tokens() *access.Requirement {
	maxAge := access.DefaultTokenMaxAge
	if s.Tokens.MaxAge != nil {
		maxAge = s.Tokens.MaxAge.Duration
	}
	return &access.Requirement{Enforce: true, MFA: &access.Rule{MaxAge: maxAge, Methods: s.Tokens.Methods, Contexts: s.Tokens.Contexts}}
}

// group is the group of the emergency.
func (s *accessSettings) group() string { return cmp.Or(s.BreakGlassGroup, v1alpha1.BreakGlassGroup) }
