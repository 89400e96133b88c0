// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package documented

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestASessionIsTakenApartAtItsPrompts(t *testing.T) {
	got := steps("said before\n$ kubectl get \\\n  pods\nlis \\\n$ true\n\nout $ no\n")
	want := []Step{{Command: "kubectl get \\\n  pods\n", Output: "lis \\\n"}, {Command: "true\n", Output: "\nout $ no\n"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsOtherEachTimeDoesNotCount(t *testing.T) {
	for _, test := range []struct {
		page, got string
		want      bool
	}{
		{"NAME   AGE\nlis   29s", "NAME AGE\nlis  2m5s\n", true},
		{"image (sha256:cb45296680fa...) is stale: ...", "Warning: image (sha256:00ff) is stale: made in spring", true},
		{"made 2025-10-19 (Config), 400 days ago", "made 2025-10-20 (Config), 400 days ago", true},
		{"made 2025-10-19 (Config), 400 days ago", "made 2025-10-20 (Config), 401 days ago", false},
		{"since 2026-11-26T12:06:31Z", "since yesterday", false},
		{"a [b]", "a b", false},
	} {
		if got := Prints(test.page, test.got); got != test.want {
			t.Errorf("%q, %q: got %v", test.page, test.got, got)
		}
	}
}

func TestABlockRunsUntilACommandFails(t *testing.T) {
	shell := Shell{Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH"), "WORD=lis"}}
	if got := shell.Must(t, With(t, "echo $WORD NAME > it # said\ncat it\n", "NAME", "portal")); got != "lis portal\n" {
		t.Errorf("got %q", got)
	}
	out, err := shell.Run(t, "echo once\nfalse\necho twice\n")
	if err == nil || out != "once\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := shell.Run(t, "echo $UNSET"); err == nil {
		t.Error("a variable that is not set is no error")
	}
	if _, err := os.Stat(filepath.Join(shell.Dir, "it")); err != nil {
		t.Error(err)
	}
}

// told notes that a test was ended.
type told struct {
	testing.TB
	said strings.Builder
}

func (n *told) Helper() {}

func (n *told) Fatalf(format string, _ ...any) { n.said.WriteString(format) }

func TestWhatThePageDoesNotSayCannotBeReplaced(t *testing.T) {
	notes := told{TB: t}
	With(&notes, "echo NAME", "NAMESPACE", "pathology")
	if notes.said.Len() == 0 {
		t.Error("it is replaced without a word")
	}
}
