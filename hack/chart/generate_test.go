// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheChartHasTheDefinitionsAndRightsOfConfig(t *testing.T) {
	generated, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range generated {
		got, err := os.ReadFile(filepath.Join(root, templatesDir, path))
		if err != nil {
			t.Errorf("%v: run `make generate`", err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: run `make generate` (-want +got):\n%s", path, diff)
		}
	}
	definitions, err := filepath.Glob(filepath.Join(root, templatesDir, definitionsDir, "*"))
	if err != nil || len(definitions) == 0 {
		t.Fatalf("%d definitions, %v", len(definitions), err)
	}
	for _, path := range definitions {
		if _, known := generated[definitionsDir+"/"+filepath.Base(path)]; !known {
			t.Errorf("%s is not in config/crd: run `make generate`", path)
		}
	}
}

func TestNoGeneratedTemplateNamesTheNamespaceOfConfig(t *testing.T) {
	generated, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range generated {
		for line := range strings.Lines(content) {
			if strings.Contains(line, systemNamespace) && !strings.Contains(line, "description") {
				t.Errorf("%s: %s", path, line)
			}
		}
	}
}
