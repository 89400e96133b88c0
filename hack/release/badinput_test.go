// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// refusal is the error of the command, before anything is compiled.
func refusal(t *testing.T, args ...string) error {
	t.Helper()
	var stderr strings.Builder
	err := run(t.Context(), args, io.Discard, &stderr)
	if err == nil {
		t.Fatalf("%v is taken", args)
	}
	if strings.Contains(stderr.String(), "compiling") {
		t.Errorf("%v is refused only after something was compiled", args)
	}
	return err
}

func TestCommandLineThatIsWrongSaysWhatIsRight(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{name: "no repository", want: "make images REPOSITORY=registry.example/labguard"},
		{name: "an empty repository", args: []string{"-repository", ""}, want: "make images REPOSITORY=registry.example/labguard"},
		{name: "no registry", args: []string{"-repository", "labguard/images"}, want: "write the registry and a path"},
		{name: "no path", args: []string{"-repository", "registry.example"}, want: "write the registry and a path"},
		{name: "a tag", args: []string{"-repository", "registry.example/labguard:v1"}, want: "without tag and digest"},
		{name: "a digest", args: []string{"-repository", "registry.example/labguard@sha256:00"}, want: "without tag and digest"},
		{name: "upper case", args: []string{"-repository", "registry.example/Labguard"}, want: "in lower case"},
		{name: "a scheme", args: []string{"-repository", "https://registry.example/labguard"}, want: "without https://"},
		{name: "no platform", args: []string{"-repository", "r.example/l", "-platforms", ""}, want: "write linux and an architecture"},
		{name: "another system", args: []string{"-repository", "r.example/l", "-platforms", "windows/amd64"}, want: "write linux and an architecture"},
		{name: "a variant", args: []string{"-repository", "r.example/l", "-platforms", "linux/arm/v7"}, want: "write linux and an architecture"},
		{name: "a platform twice", args: []string{"-repository", "r.example/l", "-platforms", "linux/amd64,linux/amd64"}, want: "twice"},
		{name: "something that is no flag", args: []string{"-repository", "r.example/l", "now"}, want: "\"now\" is no flag"},
		{name: "an unknown flag", args: []string{"-latest"}, want: "not defined: -latest"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := refusal(t, test.args...); !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestCheckoutThatOthersCannotMakeAgainIsRefused(t *testing.T) {
	tests := []struct {
		name string
		// change returns the folder in which the command runs.
		change func(t *testing.T, dir string) string
		want   []string
	}{
		{
			name: "no clone at all", change: func(t *testing.T, _ string) string { return t.TempDir() },
			want: []string{"run this in a clone of labguard", "not a git repository"},
		},
		{
			name: "no commit", change: func(t *testing.T, _ string) string { return repository(t) },
			want: []string{"look up the commit"},
		},
		{
			name: "a file that was changed",
			change: func(t *testing.T, dir string) string {
				put(t, dir, "go.mod", "module example.invalid/other\n")
				return dir
			},
			want: []string{"differs from it: commit, stash or remove\n   M go.mod"},
		},
		{
			name: "many new files",
			change: func(t *testing.T, dir string) string {
				for _, one := range []string{"a", "b", "c", "d", "e", "f", "g"} {
					put(t, dir, one, "")
				}
				return filepath.Join(dir, "cmd")
			},
			want: []string{"  ?? a\n", "  ?? e\n", "and 2 more"},
		},
		{
			name: "a clone of the last commit only",
			change: func(t *testing.T, dir string) string {
				put(t, dir, "second", "")
				record(t, dir)
				clone := filepath.Join(t.TempDir(), "clone")
				gitDo(t, dir, "clone", "--quiet", "--depth=1", "file://"+dir, clone)
				return clone
			},
			want: []string{"git fetch --unshallow --tags"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := refusal(t, "-C", test.change(t, labguard(t)), "-repository", "registry.example/labguard")
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want an error with %q", err, want)
				}
			}
		})
	}
}

func TestProgramThatDoesNotCompileSaysWhy(t *testing.T) {
	dir := labguard(t)
	put(t, dir, "cmd/manager/main.go", "package main\n\nfunc main() { undefined() }\n")
	record(t, dir)
	err := run(t.Context(), []string{"-C", dir, "-repository", "registry.example/labguard", "-output", t.TempDir()}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "compile ./cmd/manager for linux/amd64") || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("got %v", err)
	}
}

func TestWhatStandsInTheWayOfALayoutIsNotRemoved(t *testing.T) {
	dir := labguard(t)
	put(t, dir, "dist/images/manager/thesis.txt", "the only copy")
	err := run(t.Context(), []string{"-C", dir, "-repository", "registry.example/labguard", "-output", filepath.Join(dir, "dist"), "-platforms", "linux/amd64"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "something else, which is not overwritten") {
		t.Errorf("got %v", err)
	}
}
