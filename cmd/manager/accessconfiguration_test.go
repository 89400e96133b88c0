// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
)

func accessOf(t *testing.T, text string) (accessSettings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "labguard.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := readConfiguration(path)
	if err != nil {
		return accessSettings{}, err
	}
	return config.Access, nil
}

func TestPeopleAndMachinesAreRead(t *testing.T) {
	settings, err := accessOf(t, `
access:
  breakGlassGroup: emergency
  machines:
  - {namespace: flux-system, serviceAccount: kustomize-controller}
  - {user: "oidc:ci", issuer: https://ci.lab.example}
  trusted: [{kind: Group, name: platform-admins}]
  tokens: {maxAge: 1h, methods: [[pwd, otp]], contexts: [high]}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []access.Machine{{Namespace: "flux-system", Name: "kustomize-controller"}, {User: "oidc:ci", Issuer: "https://ci.lab.example"}}
	if diff := cmp.Diff(want, settings.machines()); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
	rule := access.Requirement{Enforce: true, MFA: &access.Rule{MaxAge: time.Hour, Methods: [][]string{{"pwd", "otp"}}, Contexts: []string{"high"}}}
	if diff := cmp.Diff(&rule, settings.tokens()); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	if settings.group() != "emergency" {
		t.Errorf("the group is %s", settings.group())
	}
}

func TestWithoutAWordAboutPeopleTheDefaultsHold(t *testing.T) {
	settings, err := accessOf(t, "trustDomain: lab.example\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(settings.machines()) != 0 || settings.group() != v1alpha1.BreakGlassGroup || settings.tokens().MFA.MaxAge != access.DefaultTokenMaxAge {
		t.Errorf("%v, %s, %v", settings.machines(), settings.group(), settings.tokens().MFA)
	}
}

func TestWhatIsWrongAboutPeopleIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"breakGlassGroup: system:authenticated":                                  "access.breakGlassGroup",
		"breakGlassGroup: system:serviceaccounts:ci":                             "access.breakGlassGroup",
		"breakGlassGroup: 'system:authenticated:oauth'":                          "access.breakGlassGroup",
		"breakGlassGroup: ' spaces '":                                            "access.breakGlassGroup",
		"machines: [{}]":                                                         "access.machines[0]: give either",
		"machines: [{namespace: flux-system}]":                                   "access.machines[0]",
		"machines: [{namespace: a, serviceAccount: b, user: c}]":                 "access.machines[0]: give either",
		"machines: [{namespace: a, serviceAccount: b, issuer: 'https://x'}]":     "access.machines[0]: issuer",
		"machines: [{namespace: A_B, serviceAccount: b}]":                        "access.machines[0]",
		"machines: [{user: 'system:serviceaccount:a:b'}]":                        "access.machines[0]: user",
		"machines: [{user: 'system:anonymous'}]":                                 "access.machines[0]: user",
		"machines: [{user: 'system:node:one'}]":                                  "access.machines[0]: user",
		"machines: [{user: 'system:l7-lb-controller', issuer: 'https://x'}]":     "access.machines[0]: user",
		"machines: [{user: ci, issuer: 'http://plain'}]":                         "access.machines[0]: issuer",
		"machines: [{user: ci}, {user: ci}]":                                     "access.machines[1]: is there twice",
		"trusted: [{kind: Role, name: x}]":                                       "access.trusted[0]: kind",
		"trusted: [{kind: Group, name: 'system:authenticated'}]":                 "access.trusted[0]: name",
		"trusted: [{kind: ServiceAccount, name: x}]":                             "access.trusted[0]: namespace",
		"trusted: [{kind: User, name: ''}]":                                      "access.trusted[0]: name",
		"tokens: {maxAge: 1m}":                                                   "access.tokens.maxAge",
		"tokens: {maxAge: 1000h}":                                                "access.tokens.maxAge",
		"tokens: {methods: [[]]}":                                                "access.tokens.methods[0]",
		"tokens: {methods: [['two words']]}":                                     "access.tokens.methods[0]",
		"tokens: {contexts: ['']}":                                               "access.tokens.contexts",
		"machine: []":                                                            "unknown field",
		"machines: [" + strings.Repeat("{user: a},", maxMachines) + "{user: a}]": "at most 256 machines",
	} {
		_, err := accessOf(t, "access:\n  "+text+"\n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want %q", text, err, want)
		}
	}
}
