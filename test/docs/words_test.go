// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/documented"
)

// metricNames are names of metrics, and of nothing else: annotations and labels have a dot or a dash.
var metricNames = regexp.MustCompile(`\blabguard_[a-z_]+[a-z]\b`)

// texts are the pages as they are, by path.
func texts(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, p := range pages(t) {
		content, err := os.ReadFile(filepath.Join(documented.Root(t), filepath.FromSlash(p.path)))
		if err != nil {
			t.Fatal(err)
		}
		found[p.path] = string(content)
	}
	return found
}

func TestMetricsOfPagesAreThoseOfTheirTables(t *testing.T) {
	t.Parallel()
	all := texts(t)
	tables := all["docs/metrics.md"] + all["docs/airlock.md"]
	for path, text := range all {
		for _, name := range metricNames.FindAllString(text, -1) {
			if !strings.Contains(tables, "`"+name+"`") {
				t.Errorf("%s speaks of %s, which is in the table of neither docs/metrics.md nor docs/airlock.md", path, name)
			}
		}
	}
}

// What a condition or an event says in one word has to be found in a page that says what it means. The reference has comments of the API alone.
func TestEveryReasonIsOnAPage(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	for path, text := range texts(t) {
		if strings.HasPrefix(path, "docs/") && !strings.HasPrefix(path, "docs/reference/") && !strings.HasPrefix(path, "docs/decisions/") {
			said.WriteString(text)
		}
	}
	words := constants(t, "Reason", "Condition")
	if len(words) < 60 {
		t.Fatalf("only %d reasons and conditions are found", len(words))
	}
	for _, word := range words {
		if !strings.Contains(said.String(), "`"+word+"`") {
			t.Errorf("no page says what %s means", word)
		}
	}
}

// constants are the values of the API's constants whose names begin with one of the words.
func constants(t *testing.T, words ...string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(documented.Root(t), "api", "v1alpha1", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			spec, is := node.(*ast.ValueSpec)
			if !is || len(spec.Values) != 1 {
				return true
			}
			value, is := spec.Values[0].(*ast.BasicLit)
			if is && value.Kind == token.STRING && slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(spec.Names[0].Name, word) }) {
				if text, err := strconv.Unquote(value.Value); err == nil {
					found = append(found, text)
				}
			}
			return true
		})
	}
	return found
}
