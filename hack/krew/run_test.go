// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// manifest is that of two platforms, as .krew.yaml has them.
const manifest = "spec:\n  version: {{ .TagName }}\n  platforms:\n" +
	`  - {{addURIAndSha "https://a.example/{{ .TagName }}/p_{{ .TagName }}_linux_amd64.tar.gz" .TagName }}` + "\n" +
	`  - {{addURIAndSha "https://a.example/{{ .TagName }}/p_{{ .TagName }}_windows_amd64.tar.gz" .TagName }}` + "\n"

// tagged is a repository like labguard's, with a program that compiles in a moment, whose only commit has the tag v1.2.3.
func tagged(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "test")
		t.Setenv("GIT_"+who+"_EMAIL", "test@example.invalid")
		t.Setenv("GIT_"+who+"_DATE", "2026-03-04T05:06:07Z")
	}
	git(t, dir, "init", "--quiet")
	for name, content := range map[string]string{
		"go.mod": "module example.invalid/labguard\n\ngo 1.26.0\n", ".krew.yaml": manifest, "LICENSE": "licence\n",
		"cmd/kubectl-labguard/main.go": "package main\n\nfunc main() { println(1) }\n", "cmd/kubectl-labguard/other.go": "//go:build other\n\npackage main\n\nfunc init() { undefined() }\n",
	} {
		put(t, dir, name, content)
	}
	record(t, dir)
	git(t, dir, "tag", "v1.2.3")
	return dir
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func record(t *testing.T, dir string) {
	t.Helper()
	git(t, dir, "add", "--all")
	git(t, dir, "commit", "--quiet", "--message=one")
}

func git(t *testing.T, dir string, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", arguments...)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", arguments, err, out)
	}
}

// contents are the files of an archive, by their names.
func contents(t *testing.T, file string) map[string][]byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	expanded, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	archive := tar.NewReader(expanded)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(archive); err != nil || !header.ModTime.Equal(time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)) {
			t.Errorf("%+v: %v", header, err)
		}
	}
}

func TestArchivesAreMadeOfTheCommitAndOfNoSettings(t *testing.T) {
	dir := tagged(t)
	outputs := []string{t.TempDir(), t.TempDir()}
	for i, settings := range []map[string]string{{}, {"GOFLAGS": "-tags=other", "GOAMD64": "v3", "CGO_ENABLED": "1", "GIT_DIR": "/nowhere", "GOOS": "plan9"}} {
		for name, value := range settings {
			t.Setenv(name, value)
		}
		if err := run(t.Context(), []string{"-C", dir, "-tag", "v1.2.3", "-output", outputs[i]}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	filled, err := os.ReadFile(filepath.Join(outputs[0], "labguard.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{"p_v1.2.3_linux_amd64.tar.gz": "kubectl-labguard", "p_v1.2.3_windows_amd64.tar.gz": "kubectl-labguard.exe"} {
		one, err := os.ReadFile(filepath.Join(outputs[0], name))
		if err != nil {
			t.Fatal(err)
		}
		if other, err := os.ReadFile(filepath.Join(outputs[1], name)); err != nil || !bytes.Equal(one, other) {
			t.Errorf("%s is another one with other settings: %v", name, err)
		}
		if want := "https://a.example/v1.2.3/" + name + "\n    sha256: " + sumOf(one) + "\n"; !strings.Contains(string(filled), want) {
			t.Errorf("the manifest lacks %q:\n%s", want, filled)
		}
		packed := contents(t, filepath.Join(outputs[0], name))
		build, err := buildinfo.Read(bytes.NewReader(packed[program]))
		if err != nil || build.Main.Version != "v1.2.3" || string(packed["LICENSE"]) != "licence\n" || len(packed) != 2 {
			t.Errorf("%s has %v of %v: %v", name, build, packed, err)
			continue
		}
		system, _, _ := platformOf(name)
		for _, want := range []debug.BuildSetting{{Key: "GOOS", Value: system}, {Key: "GOAMD64", Value: "v1"}, {Key: "vcs.modified", Value: "false"}} {
			if !slices.Contains(build.Settings, want) {
				t.Errorf("%s lacks %v: %v", name, want, build.Settings)
			}
		}
	}
}

func TestWhatIsNotTheCommitOfTheTagIsRefused(t *testing.T) {
	for what, one := range map[string]struct {
		// change gives the folder in which the command runs.
		change func(dir string) string
		tag    string
		want   string
	}{
		"no such tag": {func(dir string) string { return dir }, "v1.2.4", "there is no tag v1.2.4 in this clone: git fetch --tags, or git tag v1.2.4"},
		"a branch of that name": {func(dir string) string {
			git(t, dir, "branch", "v1.2.4")
			return dir
		}, "v1.2.4", "there is no tag v1.2.4"},
		"a later commit": {func(dir string) string {
			put(t, dir, "later", "")
			record(t, dir)
			return dir
		}, "v1.2.3", "is checked out: git checkout v1.2.3"},
		"a second tag that is later": {func(dir string) string {
			git(t, dir, "tag", "v1.3.0")
			return dir
		}, "v1.2.3", "the Go command calls the version v1.3.0, and the tag is v1.2.3: has the commit two tags, or go.mod another major version?"},
		"a change": {func(dir string) string {
			put(t, dir, "LICENSE", "mine\n")
			return dir
		}, "v1.2.3", "archives are made of a commit, and the checkout differs from it: commit, stash or remove"},
		"a clone of the last commit only": {func(dir string) string {
			put(t, dir, "later", "")
			record(t, dir)
			git(t, dir, "tag", "v1.2.4")
			clone := filepath.Join(t.TempDir(), "clone")
			git(t, dir, "clone", "--quiet", "--depth=1", "--branch=v1.2.4", "file://"+dir, clone)
			return clone
		}, "v1.2.4", "git fetch --unshallow --tags"},
	} {
		t.Run(what, func(t *testing.T) {
			output := t.TempDir()
			err := run(t.Context(), []string{"-C", one.change(tagged(t)), "-tag", one.tag, "-output", output}, io.Discard)
			if err == nil || !strings.Contains(err.Error(), one.want) {
				t.Errorf("got %v, want an error with %q", err, one.want)
			}
			if left, err := os.ReadDir(output); err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, %v", left, err)
			}
		})
	}
}

func TestMakeCallsTheCommandWithTheTag(t *testing.T) {
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-n", "-C", "../..", "krew", "TAG=v1.2.3")
	command.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=")
	if out, err := command.Output(); err != nil || strings.TrimSpace(string(out)) != "go run ./hack/krew -tag 'v1.2.3'" {
		t.Errorf("make runs %q: %v", out, err)
	}
}
