// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// newModule writes a module with one program called hello and returns it as target.
func newModule(t *testing.T) target {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hello")
	write(t, filepath.Join(dir, "go.mod"), "module example.invalid/hello\n\ngo 1.26.0\n")
	write(t, filepath.Join(dir, "main.go"), "package main\n\nvar who = \"nobody\"\n\nfunc main() { print(\"hello \" + who) }\n")
	return target{dir: dir, packages: []string{"."}, ldflags: "-X main.who=you"}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustGet(t *testing.T, s store, tgt target, out io.Writer) string {
	t.Helper()
	entry, err := s.get(t.Context(), tgt, newProgress(out, "hello"))
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func mustKey(t *testing.T, tgt target) string {
	t.Helper()
	k, err := key(t.Context(), tgt)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestProgramIsCompiledOnceAndRuns(t *testing.T) {
	tgt, s := newModule(t), store{dir: filepath.Join(t.TempDir(), "cache")}
	var first, second bytes.Buffer
	entry := mustGet(t, s, tgt, &first)
	if !strings.Contains(first.String(), "hello: compiling hello") {
		t.Errorf("the first call does not say what it does: %q", &first)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(entry, "hello")).CombinedOutput()
	if err != nil || string(out) != "hello you" {
		t.Errorf("got %q, %v", out, err)
	}
	// A second call that compiled would say so, and would need a go.mod.
	if again := mustGet(t, s, tgt, &second); again != entry || second.Len() > 0 {
		t.Errorf("the second call compiled again: %s, %q", again, &second)
	}
}

func TestKeyChangesWithEachInputAndNothingElse(t *testing.T) {
	tgt := newModule(t)
	before := mustKey(t, tgt)
	ignored := []string{"main_test.go", ".hidden/a.go", "_ignored.go", "testdata/a.txt"}
	for _, name := range ignored {
		write(t, filepath.Join(tgt.dir, name), "anything")
		if mustKey(t, tgt) != before {
			t.Errorf("%s changes the key", name)
		}
	}
	seen := map[string]string{before: "nothing"}
	changed := func(what string) {
		t.Helper()
		k := mustKey(t, tgt)
		if other, double := seen[k]; double {
			t.Errorf("the key is the same after changing %s as after %s", what, other)
		}
		seen[k] = what
	}
	for _, name := range []string{"main.go", "go.mod", "go.sum", "sub/embedded.yaml", "sub/other.go"} {
		write(t, filepath.Join(tgt.dir, name), "package main // changed\n")
		if name == "go.mod" {
			write(t, filepath.Join(tgt.dir, name), "module example.invalid/other\n")
		}
		changed(name)
	}
	tgt.ldflags = "-s"
	changed("ldflags")
	tgt.tags = "some_tag"
	changed("tags")
	tgt.static = true
	changed("static")
	tgt.packages = append(tgt.packages, "./sub")
	changed("packages")
	t.Setenv("GOARCH", "arm64")
	changed("the platform")
}

func TestOfConcurrentBuildersOneCompiles(t *testing.T) {
	tgt, dir := newModule(t), filepath.Join(t.TempDir(), "cache")
	const builders = 4
	outputs := make([]bytes.Buffer, builders)
	entries := make([]string, builders)
	var all sync.WaitGroup
	for i := range builders {
		all.Go(func() {
			entry, err := store{dir: dir}.get(t.Context(), tgt, newProgress(&outputs[i], "hello"))
			if err != nil {
				t.Error(err)
			}
			entries[i] = entry
		})
	}
	all.Wait()
	compiled := 0
	for i := range builders {
		if entries[i] != entries[0] {
			t.Errorf("builders got %s and %s", entries[i], entries[0])
		}
		if strings.Contains(outputs[i].String(), "compiling hello") {
			compiled++
		}
	}
	if compiled != 1 {
		t.Errorf("%d of %d builders compiled", compiled, builders)
	}
}

func TestWaitingBuilderSaysSoAndCanBeInterrupted(t *testing.T) {
	tgt, s := newModule(t), store{dir: t.TempDir()}
	unlock, err := s.lock(t.Context(), newProgress(io.Discard, "hello"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := s.get(ctx, tgt, newProgress(writer, "hello"))
		ended <- err
	}()
	said := make([]byte, 200)
	n, err := reader.Read(said)
	if err != nil || !strings.Contains(string(said[:n]), "is compiling already: waiting for it") {
		t.Errorf("the second builder says %q, %v", said[:n], err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("the second builder did not wait")
	}
}

func TestFailedBuildLeavesNothingAndSaysWhy(t *testing.T) {
	tgt, s := newModule(t), store{dir: filepath.Join(t.TempDir(), "cache")}
	write(t, filepath.Join(tgt.dir, "main.go"), "package main\n\nfunc main() { undefined() }\n")
	_, err := s.get(t.Context(), tgt, newProgress(io.Discard, "hello"))
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("the error does not say what is wrong: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != ".lock" {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUnusedEntriesAreRemoved(t *testing.T) {
	s, now := store{dir: t.TempDir()}, time.Now()
	ages := map[string]time.Duration{
		"fresh":                     time.Hour,
		"unused":                    unusedFor + time.Hour,
		temporaryPrefix + "running": time.Hour,
		temporaryPrefix + "dead":    abandonedAfter + time.Hour,
	}
	for name, age := range ages {
		write(t, filepath.Join(s.dir, name, "program"), "")
		if err := os.Chtimes(filepath.Join(s.dir, name), now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	s.removeUnused(now)
	for name, stays := range map[string]bool{"fresh": true, "unused": false, temporaryPrefix + "running": true, temporaryPrefix + "dead": false} {
		if _, err := os.Stat(filepath.Join(s.dir, name)); (err == nil) != stays {
			t.Errorf("%s: want it to stay: %v, got: %v", name, stays, err)
		}
	}
}

func TestLinksFollowTheCurrentEntry(t *testing.T) {
	bin, old, current := filepath.Join(t.TempDir(), "bin"), t.TempDir(), t.TempDir()
	for _, entry := range []string{old, current} {
		write(t, filepath.Join(entry, "hello"), entry)
		if err := link(entry, bin); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(bin, "hello")); err != nil || string(got) != current {
		t.Errorf("bin/hello is %q, %v", got, err)
	}
}

func TestDevclusterIsStampedWithTheVersionsOfItsModule(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "hack", "devcluster", "go.mod"), `module example.invalid/devcluster

require (
	k8s.io/kubernetes v1.99.3
	github.com/cert-manager/cert-manager v1.88.0
)
`)
	tgt, err := devcluster(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"version.gitVersion=v1.99.3 ", "version.gitMajor=1 ", "version.gitMinor=99 ", "AppVersion=v1.88.0 "} {
		if !strings.Contains(tgt.ldflags, want) {
			t.Errorf("no %q in %s", want, tgt.ldflags)
		}
	}
}

func TestToolsAreTheToolLinesOfTheirModule(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "hack", "tools", "go.mod"), "module example.invalid/tools\n\ntool (\n\texample.invalid/a/cmd/lint\n\texample.invalid/kustomize/v5\n)\n")
	tgt, err := tools(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tgt.programs(), "lint, kustomize"; got != want {
		t.Errorf("programs are %q, want %q", got, want)
	}
}

func TestHelmIsTheOneThatRendersTheChartInItsTests(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "hack", "chart", "go.mod"), "module example.invalid/chart\n\nrequire helm.sh/helm/v4 v4.99.1\n\ntool helm.sh/helm/v4/cmd/helm\n")
	tgt, err := helm(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tgt.programs(), "helm"; got != want {
		t.Errorf("programs are %q, want %q", got, want)
	}
	if want := "version.version=v4.99.1"; !strings.HasSuffix(tgt.ldflags, want) {
		t.Errorf("no %q in %s", want, tgt.ldflags)
	}
}
