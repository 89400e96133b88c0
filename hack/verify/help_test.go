// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHelpListsDocumentedTargetsInGroups(t *testing.T) {
	makefile := filepath.Join(t.TempDir(), "Makefile")
	content := `VARIABLE := a: b
##@ Daily
test: build other ## run all tests
hidden: test
	@recipe: with ## no comment
$(dir)/x: ## a file
# a comment: with ## marks
`
	if err := os.WriteFile(makefile, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := help(makefile, &out); err != nil {
		t.Fatal(err)
	}
	const want = "usage: make TARGET\n\nDaily\n  test       run all tests\n"
	if out.String() != want {
		t.Errorf("help says %q, want %q", out.String(), want)
	}
}

func TestHelpKnowsTheCommandsOfTheReadme(t *testing.T) {
	var out strings.Builder
	if err := help("../../Makefile", &out); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"help", "demo", "test", "unit", "lint", "generate", "verify"} {
		if !strings.Contains(out.String(), "\n  "+target+" ") {
			t.Errorf("make help does not name %s:\n%s", target, out.String())
		}
	}
}
