// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/labguard/labguard/internal/testutil/documented"
)

// documentedValues are the values of the chart that docs/install.md shows.
func documentedValues(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(documented.Root(t), "docs", "install.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := documented.Parse(string(content))
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(page.Fences, func(f documented.Fence) bool { return f.Language == "yaml" && f.Under("Into the cluster > With Helm") })
	if at < 0 {
		t.Fatal("docs/install.md shows no values of the chart")
	}
	return page.Fences[at].Text
}
