// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/internal/plugin/tree"
)

func sample() tree.Node {
	return tree.Node{Line: []tree.Span{{Text: "pathology/lis", Mark: tree.Name}, {Text: "does not comply", Mark: tree.Bad}}}.With(
		tree.Node{Line: []tree.Span{{Text: "False", Mark: tree.Bad}, {Text: "NetworkIsolated"}}}.With(tree.Say("one two three four five six seven eight nine ten eleven")),
		tree.Say("a\x1b[2Jb"),
	)
}

func TestATreeIsDrawnForWhatItIsDrawnOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		paper tree.Paper
		want  string
	}{
		"a pipe": {want: "pathology/lis does not comply\n" +
			"  False NetworkIsolated\n" +
			"    one two three four five six seven eight nine ten eleven\n" +
			"  a\\x1b[2Jb\n"},
		"a terminal": {paper: tree.Paper{Lines: true, Unicode: true, Width: 40}, want: "pathology/lis does not comply\n" +
			"├─ False NetworkIsolated\n" +
			"│  └─ one two three four five six\n" +
			"│        seven eight nine ten eleven\n" +
			"└─ a\\x1b[2Jb\n"},
		"a terminal that knows ASCII": {paper: tree.Paper{Lines: true, Width: 40}, want: "pathology/lis does not comply\n" +
			"|- False NetworkIsolated\n" +
			"|  `- one two three four five six\n" +
			"|        seven eight nine ten eleven\n" +
			"`- a\\x1b[2Jb\n"},
		"a terminal with colours": {paper: tree.Paper{Lines: true, Unicode: true, Colour: true},
			want: "\x1b[1mpathology/lis\x1b[0m \x1b[31mdoes not comply\x1b[0m\n" +
				"\x1b[2m├─ \x1b[0m\x1b[31mFalse\x1b[0m NetworkIsolated\n" +
				"\x1b[2m│  └─ \x1b[0mone two three four five six seven eight nine ten eleven\n" +
				"\x1b[2m└─ \x1b[0ma\\x1b[2Jb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, c.paper.Draw(sample())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoLineIsWiderThanTheTerminalUnlessAWordIs(t *testing.T) {
	t.Parallel()
	for width := 40; width < 120; width += 7 {
		paper := tree.Paper{Lines: true, Unicode: true, Width: width}
		drawn := paper.Draw(sample()) + paper.Table([]string{"NAME", "WHY"}, [][]tree.Span{{{Text: "lis"}, {Text: strings.Repeat("word ", 40)}}})
		for line := range strings.Lines(drawn) {
			if got := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); got > width {
				t.Errorf("%d characters in a width of %d: %q", got, width, line)
			}
		}
	}
}

func TestATableFoldsItsLastColumn(t *testing.T) {
	t.Parallel()
	header := []string{"NAME", "SINCE", "WHY"}
	rows := [][]tree.Span{
		{{Text: "deployment/lis"}, {Text: ""}, {Text: "image registry.example/lab/lis:1.9 is stale: build it anew", Mark: tree.Bad}},
		{{Text: "x\ty"}, {Text: "2026-11-26"}, {}},
	}
	for name, c := range map[string]struct {
		paper tree.Paper
		want  string
	}{
		"a pipe": {want: "NAME             SINCE        WHY\n" +
			"deployment/lis   -            image registry.example/lab/lis:1.9 is stale: build it anew\n" +
			"x\\ty             2026-11-26   -\n"},
		"a terminal": {paper: tree.Paper{Width: 66}, want: "NAME             SINCE        WHY\n" +
			"deployment/lis   -            image registry.example/lab/lis:1.9\n" +
			"                              is stale: build it anew\n" +
			"x\\ty             2026-11-26   -\n"},
		"a narrow terminal": {paper: tree.Paper{Width: 45}, want: "NAME             SINCE        WHY\n" +
			"deployment/lis   -\n" +
			"   image registry.example/lab/lis:1.9 is\n" +
			"   stale: build it anew\n" +
			"x\\ty             2026-11-26   -\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, c.paper.Table(header, rows)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
