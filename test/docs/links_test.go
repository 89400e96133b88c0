// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	// links are [text](target), and pictures with a ! before. A target has no spaces.
	links = regexp.MustCompile(`\]\(([^()\s]+(?:\([^()\s]*\))?[^()\s]*)\)`)
	// inCode are spans of code, in which nothing is a link.
	inCode = regexp.MustCompile("`[^`]*`")
	// inText is a link within a heading, of which only the text counts.
	inText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// link is one link of a page, with the line that it stands in.
type link struct {
	target string
	line   int
}

func linksOf(p page) []link {
	var found []link
	// A paragraph may break within the text of a link, not within its target.
	for i, line := range p.Prose {
		for _, match := range links.FindAllStringSubmatch(inCode.ReplaceAllString(line, ""), -1) {
			found = append(found, link{target: match[1], line: i + 1})
		}
	}
	return found
}

// anchors are the addresses of the headings of a page. One that is there again has a number.
func anchors(p page) []string {
	var found []string
	seen := map[string]int{}
	for _, heading := range p.Headings {
		anchor := lower(inText.ReplaceAllString(heading.Text, "$1"))
		if n := seen[anchor]; n > 0 {
			found = append(found, anchor+"-"+strconv.Itoa(n))
		} else {
			found = append(found, anchor)
		}
		seen[anchor]++
	}
	return found
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	t.Parallel()
	all := pages(t)
	byPath := map[string]page{}
	for _, p := range all {
		byPath[p.path] = p
	}
	count := 0
	for _, p := range all {
		for _, found := range linksOf(p) {
			if strings.Contains(found.target, "://") || strings.HasPrefix(found.target, "mailto:") {
				continue
			}
			count++
			file, anchor, _ := strings.Cut(found.target, "#")
			target := p.path
			if file != "" {
				target = path.Join(path.Dir(p.path), file)
			}
			if !exists(t, target) {
				t.Errorf("%s:%d: there is no %s", p.path, found.line, target)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(byPath[target]), anchor) {
				t.Errorf("%s:%d: %s has no heading #%s", p.path, found.line, target, anchor)
			}
		}
	}
	if count < 200 {
		t.Errorf("only %d links are found", count)
	}
}

func TestEveryPageCanBeReachedFromItsIndex(t *testing.T) {
	t.Parallel()
	byPath := map[string]page{}
	for _, p := range pages(t) {
		byPath[p.path] = p
	}
	reached := map[string]bool{}
	for next := []string{"docs/README.md"}; len(next) > 0; next = next[1:] {
		p, there := byPath[next[0]]
		if !there || reached[next[0]] {
			continue
		}
		reached[next[0]] = true
		for _, found := range linksOf(p) {
			file, _, _ := strings.Cut(found.target, "#")
			if target := path.Join(path.Dir(p.path), file); strings.HasPrefix(target, "docs/") {
				next = append(next, target)
			}
		}
	}
	for name := range byPath {
		if strings.HasPrefix(name, "docs/") && !reached[name] {
			t.Errorf("no way leads from docs/README.md to %s", name)
		}
	}
	if !slices.ContainsFunc(linksOf(byPath["README.md"]), func(l link) bool { return l.target == "docs/README.md" }) {
		t.Error("the README does not lead to docs/README.md")
	}
}

func TestAnchorsAreThoseOfGitHub(t *testing.T) {
	t.Parallel()
	p := page{}
	for _, text := range []string{"explain KIND/NAME", "`mfa`, and [training](x.md#y)", "Where? Here", "Where? Here", "spec.ports[].allowFrom"} {
		p.Headings = append(p.Headings, heading(text))
	}
	want := []string{"explain-kindname", "mfa-and-training", "where-here", "where-here-1", "specportsallowfrom"}
	if got := anchors(p); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
