// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// madeAt is the time of the commit that tests make images of.
var madeAt = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// labguard is a repository like labguard's, with programs that compile in a moment. Each has a module of its own linked in.
func labguard(t *testing.T) string {
	t.Helper()
	dir := repository(t)
	modules := []string{"github.com/munnerz/goautoneg", "golang.org/x/sys"}
	put(t, dir, "go.mod", "module example.invalid/labguard\n\ngo 1.26.0\n\nrequire (\n"+linesOf(t, "../../go.mod", modules)+")\n")
	put(t, dir, "go.sum", linesOf(t, "../../go.sum", modules))
	put(t, dir, "cmd/manager/main.go", "package main\n\nimport \"github.com/munnerz/goautoneg\"\n\nfunc main() { println(len(goautoneg.ParseAccept(\"a/b\"))) }\n")
	put(t, dir, "cmd/airlock/main.go", "package main\n\nimport \"golang.org/x/sys/cpu\"\n\nfunc main() { println(cpu.Initialized) }\n")
	put(t, dir, ".gitignore", "/bin/\n/dist/\n")
	record(t, dir)
	return dir
}

// linesOf are the lines of a file of this repository that begin with one of the modules. Those of go.mod lose what stands behind the version.
func linesOf(t *testing.T, file string, modules []string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found strings.Builder
	for line := range strings.Lines(string(content)) {
		for _, module := range modules {
			if strings.HasPrefix(strings.TrimSpace(line), module+" ") {
				line, _, _ = strings.Cut(strings.TrimSpace(line), " //")
				found.WriteString(line + "\n")
			}
		}
	}
	if found.Len() == 0 {
		t.Fatalf("%s has none of %v", file, modules)
	}
	return found.String()
}

// repository is one without a commit. Git and the registries' clients have no settings of whoever runs the tests.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "test")
		t.Setenv("GIT_"+who+"_EMAIL", "test@example.invalid")
		t.Setenv("GIT_"+who+"_DATE", madeAt.Format(time.RFC3339))
	}
	gitDo(t, dir, "init", "--quiet")
	return dir
}

func record(t *testing.T, dir string) {
	t.Helper()
	gitDo(t, dir, "add", "--all")
	gitDo(t, dir, "commit", "--quiet", "--message=one")
}

func gitDo(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, output)
	}
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// serve runs a registry until the test ends and returns its address. Each request goes through the wrappers first.
func serve(t *testing.T, referrers bool, wrappers ...func(http.Handler) http.Handler) string {
	t.Helper()
	handler := registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0)))
	for _, wrap := range wrappers {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// release runs the command and returns what it prints as references, without the registry.
func release(t *testing.T, dir, host string, further ...string) []string {
	t.Helper()
	var stdout, stderr strings.Builder
	args := append([]string{"-C", dir, "-repository", host + "/labguard", "-output", filepath.Join(dir, "dist")}, further...)
	if err := run(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	references := strings.Fields(stdout.String())
	for i, one := range references {
		path, found := strings.CutPrefix(one, host+"/")
		if !found {
			t.Fatalf("reference %s is not of %s", one, host)
		}
		references[i] = path
	}
	if len(references) != len(programs()) {
		t.Fatalf("references are %v", references)
	}
	return references
}
