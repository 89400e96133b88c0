// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTreeTellsACleanCheckoutFromOthers(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, dir string)
		shows  string
		dirty  bool
	}{
		{name: "nothing changed", change: func(*testing.T, string) {}, shows: "is what is committed"},
		{
			name: "a changed file is shown with its difference",
			change: func(t *testing.T, dir string) {
				t.Helper()
				write(t, dir, "committed", "after\n")
			},
			shows: "-before\n+after\n", dirty: true,
		},
		{
			name: "a new file is named",
			change: func(t *testing.T, dir string) {
				t.Helper()
				write(t, dir, "zz_new.go", "package new\n")
			},
			shows: "?? zz_new.go\n", dirty: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := repository(t)
			test.change(t, dir)
			var out strings.Builder
			err := tree(t.Context(), dir, &out)
			if !strings.Contains(out.String(), test.shows) {
				t.Errorf("output %q does not show %q", out.String(), test.shows)
			}
			if dirty := err != nil; dirty != test.dirty {
				t.Errorf("error %v, want one: %v", err, test.dirty)
			}
			if err != nil && !strings.Contains(err.Error(), "make generate") {
				t.Errorf("error %v does not name the fix", err)
			}
		})
	}
}

func TestALongDifferenceIsCut(t *testing.T) {
	long := strings.Repeat("line\n", 10*maxDiffLines)
	if lines := strings.Count(shorten(long), "\n"); lines > maxDiffLines+1 {
		t.Errorf("%d lines are left, want at most %d", lines, maxDiffLines+1)
	}
	if short := "one\ntwo\n"; shorten(short) != short {
		t.Errorf("a short difference became %q", shorten(short))
	}
}

// repository is a git checkout with one committed file.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// The settings of whoever runs the test (signing, hooks) have no say here.
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	write(t, dir, "committed", "before\n")
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "committed"},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message=first"},
	} {
		if _, err := git(t.Context(), dir, args...); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
