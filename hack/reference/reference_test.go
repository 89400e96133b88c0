// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/testutil/golden"
)

const (
	bases = "../../config/crd/bases"
	pages = "../../docs/reference"
)

func TestAPageHasFieldsLimitsAndRules(t *testing.T) {
	content, err := os.ReadFile("testdata/definition.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(content, &definition); err != nil {
		t.Fatal(err)
	}
	made, err := render([]apiextensionsv1.CustomResourceDefinition{definition})
	if err != nil {
		t.Fatal(err)
	}
	golden.Text(t, "centrifuge", made["centrifuge.md"])
	golden.Text(t, "index", made["README.md"])
}

func TestADefinitionWithoutASchemaIsAnError(t *testing.T) {
	definition := apiextensionsv1.CustomResourceDefinition{}
	definition.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1"}}
	if made, err := render([]apiextensionsv1.CustomResourceDefinition{definition}); err == nil {
		t.Errorf("it makes %v", made)
	}
}

func TestPagesOfKindsThatAreGoneAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"former.md", "picture.svg"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(bases, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "former.md")); !os.IsNotExist(err) {
		t.Errorf("former.md: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "picture.svg")); err != nil {
		t.Error(err)
	}
	if err := run(dir, dir); err == nil {
		t.Error("a folder without definitions is no error")
	}
}

func TestThePagesAreThoseOfTheDefinitions(t *testing.T) {
	definitions, err := read(bases)
	if err != nil {
		t.Fatal(err)
	}
	made, err := render(definitions)
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob(filepath.Join(pages, "*.md"))
	if err != nil || len(there) != len(made) {
		t.Errorf("%d pages are there, and %d are made: run `make generate`; %v", len(there), len(made), err)
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join(pages, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not what the definitions say: run `make generate` (-want +got):\n%s", name, diff)
		}
	}
	for _, definition := range definitions {
		for _, version := range definition.Spec.Versions {
			missing(t, made[strings.ToLower(definition.Spec.Names.Kind)+".md"], "", *version.Schema.OpenAPIV3Schema)
		}
	}
}

// missing fails for each field and message of a schema that the page does not have.
func missing(t *testing.T, page, path string, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	for _, rule := range schema.XValidations {
		if !strings.Contains(page, prose(rule.Message)) || !strings.Contains(page, strings.Split(rule.Rule, "\n")[0]) {
			t.Errorf("the page does not have the rule of %s: %s", path, rule.Message)
		}
	}
	if kind, inner, _ := typeOf(schema); inner == nil && strings.Contains(kind, "](https:") {
		return // a type of Kubernetes
	}
	for name, field := range schema.Properties {
		if path == "" && slices.Contains([]string{"apiVersion", "kind", "metadata"}, name) {
			continue
		}
		if path != "" && !strings.Contains(page, "| `"+name+"` | ") {
			t.Errorf("the page does not have %s.%s", path, name)
		}
		missing(t, page, strings.TrimPrefix(path+"."+name, "."), field)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		missing(t, page, path+"[]", *schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		missing(t, page, path+"{}", *schema.AdditionalProperties.Schema)
	}
}
