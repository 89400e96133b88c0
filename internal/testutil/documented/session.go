// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package documented

import (
	"regexp"
	"strings"
	"testing"
)

// Step is one command of a session and what the page says that it prints.
type Step struct {
	Command, Output string
}

// Session is the n-th block of commands below a heading, as Block finds it, taken apart at its prompts: "$ " begins a command, and what follows is what
// it prints.
func Session(t testing.TB, file, heading string, n int) []Step {
	t.Helper()
	steps := steps(Block(t, file, heading, n))
	if len(steps) == 0 {
		t.Fatalf("%s: block %d below %q has no prompt", file, n, heading)
	}
	return steps
}

func steps(block string) []Step {
	var found []Step
	goesOn := false
	for line := range strings.Lines(block) {
		command, starts := strings.CutPrefix(line, "$ ")
		switch {
		case starts:
			found = append(found, Step{Command: command})
		case len(found) == 0:
			continue
		case goesOn:
			found[len(found)-1].Command += line
		default:
			found[len(found)-1].Output += line
		}
		goesOn = (starts || goesOn) && strings.HasSuffix(strings.TrimSpace(line), "\\")
	}
	return found
}

// changing are parts of an output that are others each time, by what stands for them.
var changing = []struct {
	pattern *regexp.Regexp
	is      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "DATE"},
	{regexp.MustCompile(`sha256:(\.\.\.|[0-9a-f]+(\.\.\.)?)`), "DIGEST"},
	{regexp.MustCompile(`\b(\d+[smhd])+\b`), "AGE"},
}

// Prints says whether a command has printed what the page says: line breaks and the width of columns do not count, nor do times, ages and digests, and "..." is
// anything. What it prints besides, before and behind, is not on the page.
func Prints(page, got string) bool {
	page, got = plain(page), plain(got)
	var pattern strings.Builder
	for i, part := range strings.Split(page, "...") {
		if i > 0 {
			pattern.WriteString(".*")
		}
		pattern.WriteString(regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(pattern.String()).MatchString(got)
}

func plain(text string) string {
	for _, one := range changing {
		text = one.pattern.ReplaceAllString(text, one.is)
	}
	return strings.Join(strings.Fields(text), " ")
}
