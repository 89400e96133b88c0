// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package spdx_test

import (
	"encoding/json"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/hack/release/spdx"
)

const (
	someSum  = "h1:wk8382ETsv4JYUZwIsn6YpYiWiBsYLSJiTsyBybVuN8="
	otherSum = "h1:C3w9PqII01/Oq1c1nUAm88MOHcQC9l5mIlSMApZMrHA="
)

// subject is an image of a program with the given modules.
func subject(modules ...*debug.Module) spdx.Subject {
	return spdx.Subject{
		Image: "manager", Digest: "sha256:" + strings.Repeat("ab", 32), OS: "linux", Architecture: "arm64", File: "/manager", Program: []byte("program"),
		Build: &debug.BuildInfo{
			GoVersion: "go1.26.8 X:some", Main: debug.Module{Path: "example.invalid/lab", Version: "v1.2.3"}, Deps: modules,
		},
		Source: "https://example.invalid/lab", Revision: "0123456789abcdef0123456789abcdef01234567", License: "Apache-2.0", Supplier: "The Authors",
		Created: time.Date(2026, 3, 4, 6, 6, 7, 0, time.FixedZone("", 3600)),
	}
}

func describe(t *testing.T, s spdx.Subject) spdx.Document {
	t.Helper()
	document, err := spdx.Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestDocumentKeepsTheRulesAndNamesEveryModule(t *testing.T) {
	modules := []*debug.Module{
		{Path: "github.com/Azure/go-ansiterm", Version: "v0.0.1", Sum: someSum},
		{Path: "github.com/docker/cli", Version: "v29.7.2+incompatible", Sum: otherSum},
		// These two have the same letters, digits and hyphens.
		{Path: "example.invalid/a/b", Version: "v1.0.0", Sum: someSum},
		{Path: "example.invalid/a-b", Version: "v1.0.0", Sum: someSum},
		{Path: "example.invalid/~old_name", Version: "v1.0.0", Sum: someSum, Replace: &debug.Module{Path: "example.invalid/new", Version: "v2.0.0", Sum: otherSum}},
	}
	document := describe(t, subject(modules...))
	for _, problem := range problems(document) {
		t.Error(problem)
	}
	want := map[string]string{
		"manager":                      "pkg:oci/manager@sha256%3A" + strings.Repeat("ab", 32) + "?arch=arm64&tag=v1.2.3",
		"example.invalid/lab":          "pkg:golang/example.invalid/lab@v1.2.3",
		"stdlib":                       "pkg:golang/stdlib@1.26.8",
		"github.com/Azure/go-ansiterm": "pkg:golang/github.com/azure/go-ansiterm@v0.0.1",
		"github.com/docker/cli":        "pkg:golang/github.com/docker/cli@v29.7.2%2Bincompatible",
		"example.invalid/a/b":          "pkg:golang/example.invalid/a/b@v1.0.0",
		"example.invalid/a-b":          "pkg:golang/example.invalid/a-b@v1.0.0",
		"example.invalid/new":          "pkg:golang/example.invalid/new@v2.0.0",
	}
	got := map[string]string{}
	for _, p := range document.Packages {
		got[p.Name] = p.ExternalRefs[0].Locator
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("package URLs (-want +got):\n%s", diff)
	}
	replaced := document.Packages[len(document.Packages)-1]
	if want := "go.sum: " + otherSum + "; it replaces example.invalid/~old_name v1.0.0"; replaced.SourceInfo != want {
		t.Errorf("the replaced module has %q, want %q", replaced.SourceInfo, want)
	}
	dependencies := 0
	for _, r := range document.Relationships {
		if r.Element == "SPDXRef-Main" && r.Type == "DEPENDS_ON" {
			dependencies++
		}
	}
	if want := len(modules) + 1; dependencies != want {
		t.Errorf("%d dependencies, want %d: each module and the standard library", dependencies, want)
	}
}

func TestSumsAreThoseOfOtherTools(t *testing.T) {
	document := describe(t, subject(&debug.Module{Path: "example.invalid/a", Version: "v1.0.0", Sum: someSum}))
	// By base64 -d | xxd, sha1sum and sha256sum.
	want := map[string]string{
		"module":       "c24f37f36113b2fe0961467022c9fa6296225a206c60b489893b320726d5b8df",
		"program":      "1310ca2c8932dbd118668bd97442558a3e1f546b5e15c69699dfbd6024f548d8",
		"programSHA1":  "81d9aeea0e1a408d65b6660a176c5de83dc98e7b",
		"verification": "74a69e870a512d9478d5484e2edba45f8b1045fc",
	}
	got := map[string]string{
		"module":       document.Packages[3].Checksums[0].Value,
		"program":      document.Files[0].Checksums[1].Value,
		"programSHA1":  document.Files[0].Checksums[0].Value,
		"verification": document.Packages[0].Verification.Value,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sums (-want +got):\n%s", diff)
	}
}

func TestDocumentIsTheSameEachTimeAndReadableAsJSON(t *testing.T) {
	given := subject(&debug.Module{Path: "example.invalid/a", Version: "v1.0.0", Sum: someSum})
	document := describe(t, given)
	first, err := document.JSON()
	if err != nil {
		t.Fatal(err)
	}
	second, err := describe(t, given).JSON()
	if err != nil || !slices.Equal(first, second) {
		t.Errorf("the same image has another document the second time, %v", err)
	}
	var read spdx.Document
	if err := json.Unmarshal(first, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(document, read); diff != "" {
		t.Errorf("what was read is not what was written (-written +read):\n%s", diff)
	}
	// The schema of SPDX has no default for it, and a missing one means true.
	if !strings.Contains(string(first), `"filesAnalyzed": false`) || !strings.Contains(string(first), "?arch=arm64&tag=") {
		t.Errorf("written badly: %s", first)
	}
	if want := "2026-03-04T05:06:07Z"; document.CreationInfo.Created != want {
		t.Errorf("created %s, want %s", document.CreationInfo.Created, want)
	}
}

func TestOtherImageHasAnotherNamespace(t *testing.T) {
	one, other := subject(), subject()
	other.Digest = "sha256:" + strings.Repeat("cd", 32)
	if a, b := describe(t, one).DocumentNamespace, describe(t, other).DocumentNamespace; a == b {
		t.Errorf("both are %s", a)
	}
}

func TestWhatCannotBeSaidIsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *spdx.Subject)
		want   string
	}{
		{name: "a program without build information", change: func(s *spdx.Subject) { s.Build = nil }, want: "no build information"},
		{name: "a module without a version", change: func(s *spdx.Subject) { s.Build.Main.Version = "" }, want: "no build information with module and version"},
		{
			name:   "a module that is a folder of this machine",
			change: func(s *spdx.Subject) { s.Build.Deps[0].Replace = &debug.Module{Path: "../a"} },
			want:   "module example.invalid/a: it is replaced by the folder ../a",
		},
		{name: "a module without a sum", change: func(s *spdx.Subject) { s.Build.Deps[0].Sum = "" }, want: "is not of the kind h1"},
		{name: "a sum of another kind", change: func(s *spdx.Subject) { s.Build.Deps[0].Sum = "h2:abc" }, want: "is not of the kind h1"},
		{name: "a sum that is too short", change: func(s *spdx.Subject) { s.Build.Deps[0].Sum = "h1:YWJj" }, want: "is no SHA-256"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := subject(&debug.Module{Path: "example.invalid/a", Version: "v1.0.0", Sum: someSum})
			test.change(&s)
			if _, err := spdx.Describe(s); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func FuzzAnyModuleIsDescribedByTheRulesOrRefused(f *testing.F) {
	f.Add("github.com/Azure/go-ansiterm", "v1.0.0", someSum)
	f.Add("a", "v0.0.0+incompatible", "h1:")
	f.Fuzz(func(t *testing.T, path, version, sum string) {
		document, err := spdx.Describe(subject(&debug.Module{Path: path, Version: version, Sum: sum}))
		if err != nil {
			return
		}
		described := document.Packages[len(document.Packages)-1]
		if !identifier.MatchString(described.SPDXID) || len(ofSums(described.Checksums)) > 0 || len(described.Checksums) != 1 {
			t.Errorf("%q %q %q is described as %+v", path, version, sum, described)
		}
	})
}
