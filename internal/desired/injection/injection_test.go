// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/desired/policy"
)

var update = flag.Bool("update", false, "write what the builders give to testdata")

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
				objects = append(objects, guard.Policy, guard.Binding)
			}
			golden(t, name+".yaml", objects)
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

func golden(t *testing.T, name string, objects []any) {
	t.Helper()
	var got bytes.Buffer
	for _, object := range objects {
		content, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "---\n%s", content)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got; run with -update to accept):\n%s", name, diff)
	}
}
