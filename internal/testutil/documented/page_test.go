// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package documented

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = "# Title\n" +
	"\n" +
	"```sh\nfirst\n```\n" +
	"## Install\n" +
	"### With Helm\n" +
	"```yaml\n# no: heading\n```\n" +
	"```sh\nhelm install\n```\n" +
	"```console\n$ second\nout\n```\n" +
	"## Uninstall\n" +
	"### With Helm\n" +
	"1. A step\n" +
	"   <!-- not run here: it\n   takes a day -->\n" +
	"   ```sh\n   helm uninstall |\n     cat\n   ```\n"

func TestBlocksAreFoundByHeadingAndNumber(t *testing.T) {
	for _, test := range []struct {
		heading string
		n       int
		want    string
	}{
		{"Title", 1, "first\n"},
		{"Install > With Helm", 1, "helm install\n"},
		{"Install > With Helm", 2, "$ second\nout\n"},
		{"Uninstall > With Helm", 1, "helm uninstall |\n  cat\n"},
		{"Title > Uninstall > With Helm", 1, "helm uninstall |\n  cat\n"},
	} {
		got, err := find(sample, test.heading, test.n)
		if err != nil || got != test.want {
			t.Errorf("%q %d: got %q, %v; want %q", test.heading, test.n, got, err, test.want)
		}
	}
}

func TestABlockThatIsNotThereOrNotTheOnlyOneIsAnError(t *testing.T) {
	for _, test := range []struct {
		heading string
		n       int
		want    string
	}{
		{"With Helm", 1, "several times"},
		{"Helm", 1, "no block"},
		{"Title", 2, "no block"},
		{"Title", 0, "no block"},
		{"Install", 1, "no block"},
	} {
		if _, err := find(sample, test.heading, test.n); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q %d: got %v, want %q", test.heading, test.n, err, test.want)
		}
	}
	if _, err := find("# A\n```sh\nx\n", "A", 1); err == nil {
		t.Error("a fence that is not closed is no error")
	}
}

func TestACommentCountsForTheBlockRightBelowIt(t *testing.T) {
	page, err := Parse(sample + "<!-- about nothing -->\n\n```sh\nx\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	var comments []string
	for _, fence := range page.Fences {
		comments = append(comments, fence.Comment)
	}
	if diff := cmp.Diff([]string{"", "", "", "", "not run here: it takes a day", ""}, comments); diff != "" {
		t.Error(diff)
	}
}

func TestProseKeepsItsLines(t *testing.T) {
	page, err := Parse("# A\n```sh\n# no heading\n```\ntext\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"# A", "", "", "", "text", ""}, page.Prose); diff != "" {
		t.Error(diff)
	}
	if len(page.Headings) != 1 {
		t.Errorf("headings: %v", page.Headings)
	}
}

func TestTheFirstBlockOfTheReadmeIsFound(t *testing.T) {
	if got := Block(t, "README.md", "labguard > See it", 1); !strings.Contains(got, "make demo") {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("```")
	f.Add("<!--\n```sh\n-->\n```\n")
	f.Fuzz(func(t *testing.T, content string) {
		page, err := Parse(content)
		if err != nil {
			return
		}
		if want := strings.Count(content, "\n") + 1; len(page.Prose) != want {
			t.Errorf("%d lines became %d", want, len(page.Prose))
		}
		for _, fence := range page.Fences {
			if fence.Commands() != (fence.Number > 0) {
				t.Errorf("number %d of a block in %q", fence.Number, fence.Language)
			}
		}
	})
}
