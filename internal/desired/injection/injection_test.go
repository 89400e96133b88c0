// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/desired/policy"
	"github.com/labguard/labguard/internal/testutil/golden"
)

// full is a labguard in the cluster, with everything.
func full() injection.Config {
	return injection.Config{
		Namespaces: []string{"radiology", "pathology", "radiology"}, LabguardUser: "system:serviceaccount:labguard-system:labguard",
		ProtectedIssuers: []injection.Issuer{
			{Kind: "ClusterIssuer", Name: "lab-ca"}, {Kind: "Issuer", Namespace: "pathology", Name: "local"}, {Kind: "ClusterIssuer", Name: "lab-ca"},
		},
		ClusterTrustBundles: true,
		Anchor:              policy.Anchor{Name: "labguard-webhook-anchor", UID: "6b1e4d2a-0000-4000-8000-000000000000"},
	}
}

func TestObjectsAreAsInTheGoldens(t *testing.T) {
	missing := full()
	missing.KindMissing = true
	for name, config := range map[string]injection.Config{
		"full": full(), "kind-missing": missing, "nothing": {LabguardUser: "labguard", CertManagerUser: "cert-manager"},
	} {
		t.Run(name, func(t *testing.T) {
			mutating, binding := injection.Injection(config)
			objects := []any{mutating, binding}
			for _, guard := range injection.Guards(config) {
				objects = append(objects, guard.Policy)
				for _, binding := range guard.Bindings {
					objects = append(objects, binding)
				}
			}
			golden.YAML(t, name, objects...)
		})
	}
}

// Every rule says what the person reads who breaks it, and no word of an expression is left open.
func TestExpressionsAreComplete(t *testing.T) {
	mutating, _ := injection.Injection(full())
	texts := []string{*mutating.Spec.Mutations[0].JSONPatch.Expression}
	for _, guard := range injection.Guards(full()) {
		for _, validation := range guard.Policy.Spec.Validations {
			texts = append(texts, *validation.Expression)
			if validation.Message == nil || len(*validation.Message) < 20 {
				t.Errorf("%s: a rule without a message: %s", *guard.Policy.Name, *validation.Expression)
			}
		}
		for _, variable := range guard.Policy.Spec.Variables {
			texts = append(texts, *variable.Expression)
		}
		if guard.Policy.Spec.FailurePolicy == nil || *guard.Policy.Spec.FailurePolicy != "Fail" {
			t.Errorf("%s fails open", *guard.Policy.Name)
		}
	}
	for _, text := range texts {
		if strings.Contains(text, "%") {
			t.Errorf("a word is left open: %s", text)
		}
	}
}
