// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/documented"
)

// page is one Markdown file, by its path from the root of the repository.
type page struct {
	documented.Page

	path string
}

// pages are the README, docs and every README elsewhere.
func pages(t *testing.T) []page {
	t.Helper()
	root := documented.Root(t)
	var found []page
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{".git", "bin", "dist", "node_modules", "testdata"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := documented.Parse(string(content))
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		found = append(found, page{Page: parsed, path: filepath.ToSlash(relative)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(found, func(p page) bool { return p.path == "docs/install.md" }) || len(found) < 20 {
		t.Fatalf("only %d pages are found", len(found))
	}
	return found
}

// exists says whether a path from the root of the repository is there.
func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(documented.Root(t), filepath.FromSlash(path)))
	return err == nil
}

// lower is a heading as GitHub makes an address of it: letters, digits, - and _ of its text, in lower case, spaces as -.
func lower(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r == ' ':
			return '-'
		default:
			return -1
		}
	}, heading)
}

func heading(text string) documented.Heading { return documented.Heading{Level: 2, Text: text} }
