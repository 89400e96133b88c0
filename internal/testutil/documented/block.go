// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package documented

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// between stands between headings that lead to a block.
const between = " > "

// Block is the text of the n-th block of commands (sh or console, from 1) right below a heading of a file, which is named from the root of the
// repository: Block(t, "docs/install.md", "Without labguard", 1). Where a page has the heading several times, those above it are named too:
// "Uninstall > With Helm".
func Block(t testing.TB, file, heading string, n int) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Root(t), filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := find(string(content), heading, n)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return text
}

// Root is the folder of the repository that the test runs in.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module github.com/labguard/labguard\n") {
			return dir
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the test does not run within the repository")
		}
		dir = parent
	}
}

func find(content, heading string, n int) (string, error) {
	page, err := Parse(content)
	if err != nil {
		return "", err
	}
	var found []Fence
	for _, fence := range page.Fences {
		if fence.Commands() && fence.Number == n && fence.Under(heading) {
			found = append(found, fence)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no block of commands %d below the heading %q", n, heading)
	case 1:
		return found[0].Text, nil
	default:
		return "", fmt.Errorf("the heading %q is there several times, in lines %d and %d: name the one above it too, as in \"Uninstall%sWith Helm\"",
			heading, found[0].Line, found[1].Line, between)
	}
}

// Under says whether the headings that lead to the block end with these.
func (f Fence) Under(heading string) bool {
	return strings.HasSuffix(between+strings.Join(f.Headings, between), between+heading)
}
