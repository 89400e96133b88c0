// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"os"
	"strings"
	"testing"
)

// block is something in a fence of a document.
type block struct{ heading, language, content string }

// blocks are those of docs/install.md.
func blocks(t testing.TB) []block {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	heading, open := "", false
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		switch language, fence := strings.CutPrefix(trimmed, "```"); {
		case fence && !open:
			open, found = true, append(found, block{heading: heading, language: language})
		case fence:
			open = false
		case open:
			found[len(found)-1].content += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimLeft(trimmed, "# ")
		}
	}
	return found
}

// documented is the only block of a language with the words.
func documented(t testing.TB, language, words string) string {
	t.Helper()
	var found []string
	for _, one := range blocks(t) {
		if one.language == language && strings.Contains(one.content, words) {
			found = append(found, one.content)
		}
	}
	if len(found) != 1 {
		t.Fatalf("docs/install.md has %d blocks of %s with %q, and this test runs the only one", len(found), language, words)
	}
	return found[0]
}

// withoutLabguard is the n-th block of commands of what to do where labguard is gone and its gate is not.
func withoutLabguard(t testing.TB, n int) string {
	t.Helper()
	const heading = "Without labguard"
	for _, one := range blocks(t) {
		if one.heading != heading || one.language != "sh" {
			continue
		}
		if n == 0 {
			return one.content
		}
		n--
	}
	t.Fatalf("docs/install.md has not enough commands under %q", heading)
	return ""
}
