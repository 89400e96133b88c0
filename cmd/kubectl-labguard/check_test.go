// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/testutil/distribution"
)

// files writes files into a new directory. A name that ends with -> is a link to what stands behind it.
func files(t *testing.T, all map[string]string) string {
	t.Helper()
	top := t.TempDir()
	for name, content := range all {
		path := filepath.Join(top, strings.TrimSuffix(name, "->"))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write := func() error { return os.WriteFile(path, []byte(content), 0o600) }
		if strings.HasSuffix(name, "->") {
			write = func() error { return os.Symlink(content, path) }
		}
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	return top
}

const (
	enforcing = "apiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: lis, namespace: pathology}\n" +
		"spec:\n  selector: {matchLabels: {app: lis}}\n  enforcement: Enforce\n  images: {maxAge: 2160h}\n"
	facts = "apiVersion: labguard.dev/v1alpha1\nkind: ImageRecordList\nitems:\n" +
		"- metadata: {name: sha256-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n" +
		"  spec: {digest: \"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", reference: r.example/lis:1, firstSeen: \"2026-06-01T00:00:00Z\", " +
		"image: {platform: linux/amd64, created: \"2026-06-01T00:00:00Z\"}}\n" +
		"- metadata: {name: sha256-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb}\n" +
		"  spec: {digest: \"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\", reference: r.example/lis:2, firstSeen: \"2026-11-01T00:00:00Z\", " +
		"image: {platform: linux/amd64, created: \"2026-11-01T00:00:00Z\"}}\n"
)

func podOf(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: lis, namespace: pathology, labels: {app: lis}}\nspec:\n  containers:\n  - name: lis\n    image: " + image + "\n"
}

// checking runs a check that asks no registry, unless it is told to, and keeps its facts in a directory of the test.
func checking(t *testing.T, in string, arguments ...string) (out, errOut string, code int, err error) {
	t.Helper()
	out, errOut, err = command(t, in, append([]string{"check", "--cache-dir", filepath.Join(t.TempDir(), "facts")}, arguments...)...)
	if err != nil {
		code = exitCode(err)
	}
	return out, errOut, code, err
}

func TestTheExitCodeTellsAPipelineWhatToDo(t *testing.T) {
	top := files(t, map[string]string{
		"lw.yaml": enforcing, "facts/facts.yaml": facts, "fresh.yaml": podOf("r.example/lis:2"), "stale.yaml": podOf("r.example/lis:1"), "unknown.yaml": podOf("r.example/lis:3"),
		"other.yaml": strings.ReplaceAll(podOf("r.example/lis:1"), "app: lis", "app: other"), "broken.yaml": "a: b: c\n", "held.yaml": strings.ReplaceAll(podOf("r.example/lis:1"), "name: lis,", "name: held,"),
		"hold.yaml": strings.ReplaceAll(enforcing, "2160h", "2160h, onStale: Hold"), "invalid.yaml": strings.ReplaceAll(enforcing, "2160h", "90d"),
		"latest.yaml": podOf("r.example/lis:2@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
	})
	for arguments, want := range map[string]struct {
		code int
		says string
	}{
		"-f fresh.yaml -f lw.yaml":                                       {0, "1 object: 1 let in\n"},
		"-f latest.yaml -f lw.yaml":                                      {0, "1 object: 1 let in\n"},
		"-f stale.yaml -f lw.yaml":                                       {1, "stale.yaml:1 Pod pathology/lis is refused\n  line 7: ImageStale container lis: image r.example/lis:1 (sha256:aaaa"},
		"-f stale.yaml":                                                  {0, "1 object: 1 on which nothing enforces images\n"},
		"-f stale.yaml -f lw.yaml --fail-on held":                        {0, "1 refused"},
		"-f stale.yaml -f hold.yaml":                                     {1, "is held"},
		"-f stale.yaml -f hold.yaml --fail-on refused":                   {0, "1 held"},
		"-f unknown.yaml -f lw.yaml":                                     {2, "is not known; by what is known here it rolls out, with warnings"},
		"-f unknown.yaml -f lw.yaml --fail-on refused,held":              {0, "with warnings"},
		"-f unknown.yaml -f lw.yaml --fail-on warned":                    {1, "with warnings"},
		"-f unknown.yaml -f stale.yaml -f lw.yaml":                       {1, "1 refused, 1 of them not known for certain"},
		"-f other.yaml -f lw.yaml":                                       {0, "nothing enforces images"},
		"-f broken.yaml -f fresh.yaml -f lw.yaml":                        {2, "broken.yaml:1 cannot be read\n"},
		"-f broken.yaml -f stale.yaml -f lw.yaml":                        {1, "broken.yaml:1 cannot be read\n"},
		"-f invalid.yaml":                                                {1, `line 7: InvalidObject spec.images.maxAge: "90d": write hours, minutes and seconds, such as 2160h for 90 days`},
		"-f fresh.yaml -f lw.yaml --days 100":                            {0, "on 2027-03-06 it is refused\n"},
		"-f fresh.yaml -f lw.yaml --days 100 --fail-on later":            {1, "1 refused or held later"},
		"-f fresh.yaml -f lw.yaml --days 10 --fail-on refused,later":     {0, "1 object: 1 let in\n"},
		"-f facts/facts.yaml -f stale.yaml -f lw.yaml --fail-on refused": {1, "is refused"},
	} {
		t.Run(arguments, func(t *testing.T) {
			t.Chdir(top)
			out, errOut, code, err := checking(t, "", append(strings.Fields(arguments), "--offline", "--facts", "facts")...)
			if code != want.code || !strings.Contains(out, want.says) {
				t.Errorf("exit code %d (%v), want %d and %q:\n%s%s", code, err, want.code, want.says, out, errOut)
			}
		})
	}
}

// helm template CHART | kubectl labguard check -f - is green without pipefail, if helm fails and this passes.
func TestAPipeThatBringsNothingDoesNotPass(t *testing.T) {
	for _, in := range []string{"", "\n", "---\n# a comment\n---\n", "Error: chart not found"} {
		if _, _, code, err := checking(t, in, "--offline", "-f", "-"); code != 2 || err == nil || !strings.Contains(err.Error(), "did what writes it fail?") {
			t.Errorf("%q: code %d, %v", in, code, err)
		}
	}
}

// What only lies below a Chart.yaml is no part of the chart, and a check that has judged nothing is no pass.
func TestOnlyWhatBelongsToAChartIsLeftToHelm(t *testing.T) {
	const template = "kind: {{ .Values.kind }}\n"
	top := files(t, map[string]string{
		"lw/lw.yaml": enforcing, "facts.yaml": facts, "Chart.yaml": "apiVersion: v2\nname: all\n", "templates/sub/a.yaml": template, "values.yaml": "kind: DaemonSet\n",
		"deploy/values-viewer.yaml": podOf("r.example/lis:1"), "plain/templates/a.yaml": podOf("r.example/lis:1") + "  - name: \"{{ b }}\"\n    image: r.example/lis:2\n",
		"chart/Chart.yaml": "apiVersion: v2\nname: lis\n", "chart/values.yaml": "a: 1\n", "chart/templates/a.yaml": template,
	})
	t.Chdir(top)
	for what, want := range map[string]struct {
		code int
		says string
	}{
		"-f deploy": {exitBad, "not passed: 1 of"}, "-f deploy/values-viewer.yaml": {exitBad, "not passed: 1 of"}, "-f plain": {exitBad, "not passed: 1 of"},
		"-f chart": {exitUnanswered, "there is nothing to judge"}, "-f templates": {exitUnanswered, "there is nothing to judge"}, "-f values.yaml": {exitUnanswered, "there is nothing to judge"},
	} {
		out, errOut, code, err := checking(t, "", append(strings.Fields(what), "--facts", "lw", "--facts", "facts.yaml", "--offline")...)
		if code != want.code || err == nil || !strings.HasPrefix(err.Error(), want.says) {
			t.Errorf("%s: exit code %d, %v:\n%s%s", what, code, err, out, errOut)
		}
	}
}

// An API server would not take it, so that nothing would be enforced.
func TestALabWorkloadOfAVersionThatIsNotServedIsInvalidAndDeclaresNothing(t *testing.T) {
	out, _, code, err := checking(t, strings.Replace(enforcing, "v1alpha1", "v1", 1)+"---\n"+podOf("r.example/lis:1"), "--offline", "-f", "-")
	if code != 1 || err == nil || !strings.Contains(out, "labguard.dev/v1 is not served, only labguard.dev/v1alpha1") || strings.Contains(out, "is stale") {
		t.Errorf("code %d, %v\n%s", code, err, out)
	}
}

func TestMistakesOfACheckNameTheFileAndTheFix(t *testing.T) {
	top := files(t, map[string]string{
		"empty/none.txt": "x", "loop->": "loop", "links/a.yaml->": "../loop", "links/d->": "../empty", "config.yaml": "registries: [{hots: a}]\n", "good.yaml": podOf("a"),
		"brokenfacts.yaml": "a: b: c\n", "program/p.yaml": "\x7fELF\x00",
	})
	for arguments, want := range map[string]string{
		"":                                      "say which manifests with -f: a file, a directory, or - for standard input",
		"deploy":                                `unknown command "deploy" for "kubectl labguard check"`,
		"-f deploy":                             "-f deploy: no such file or directory",
		"-f empty":                              "-f empty: it has no file whose name ends with .yaml, .yml or .json",
		"-f loop":                               "-f loop: too many levels of symbolic links",
		"-f good.yaml -o xml":                   "-o xml: it is json or sarif, or left out for people",
		"-f good.yaml --days -1":                "--days is 1 to 3650",
		"-f good.yaml --days soon":              `invalid argument "soon" for "--days" flag`,
		"-f good.yaml --fail-on bad":            "--fail-on bad: it is one or more of refused, held, unknown, warned, later, with commas",
		"-f good.yaml --fail-on later":          "--fail-on later: say how much later with --days",
		"-f good.yaml --colour":                 "unknown flag: --colour",
		"-f good.yaml --facts none.yaml":        "--facts: none.yaml: no such file or directory",
		"-f good.yaml --facts brokenfacts.yaml": "--facts: brokenfacts.yaml:1: it is no YAML that can be read",
		"-f good.yaml --config none.yaml":       "--config none.yaml: no such file or directory",
		"-f good.yaml --config config.yaml":     `--config config.yaml: registries: error unmarshaling JSON: while decoding JSON: json: unknown field "hots"`,
		"-f good.yaml --cluster":                "there is no kubeconfig, so there is no cluster to ask",
		"-f links":                              "1 place could not be read",
		"-f program":                            "1 place could not be read",
	} {
		t.Run(arguments, func(t *testing.T) {
			t.Chdir(top)
			t.Setenv("HOME", top)
			_, _, code, err := checking(t, "", strings.Fields(arguments)...)
			if err == nil || code != exitUnanswered || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("exit code %d: %v\nwant %d: %s", code, err, exitUnanswered, want)
			}
		})
	}
	t.Run("links are followed to files, and named where they lead elsewhere", func(t *testing.T) {
		t.Chdir(top)
		out, errOut, _, _ := checking(t, "", "-f", "links")
		if !strings.Contains(out, "links/a.yaml cannot be read\n  too many levels of symbolic links\n") || errOut != "Skipped links/d: it is a link to a directory, which is not followed: name it with -f\n" {
			t.Errorf("it says\n%s%s", out, errOut)
		}
	})
}

// endless gives more than any file may have.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = '#'
	}
	e.left -= n
	return n, nil
}

func TestOfALargeFileNoMoreIsReadThanIsAllowed(t *testing.T) {
	t.Parallel()
	const size = 100 << 20
	source := &endless{left: size}
	read := manifests{stdin: source}
	if err := read.take("-"); err != nil {
		t.Fatal(err)
	}
	if used := size - source.left; used > 40<<20 {
		t.Errorf("%d MiB were read", used>>20)
	}
	if len(read.read.Broken) != 1 || !strings.Contains(read.read.Broken[0].Text, "more than 32 MiB") {
		t.Errorf("%+v", read.read)
	}
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	if err := read.take(file); err != nil || len(read.read.Broken) != 2 || read.read.Broken[1].File != file {
		t.Errorf("%v, %+v", err, read.read.Broken)
	}
}

func TestAfterTooManyObjectsNothingMoreIsRead(t *testing.T) {
	t.Parallel()
	many := `{"apiVersion": "v1", "kind": "PodList", "items": [` + strings.Repeat(`{"metadata": {}},`, check.MaxDocuments) + "{}]}"
	top := files(t, map[string]string{"many.json": many, "one.yaml": podOf("a")})
	read := manifests{stdin: strings.NewReader(podOf("a"))}
	if err := read.take(filepath.Join(top, "many.json")); err != nil || len(read.read.Objects) != check.MaxDocuments || len(read.read.Broken) != 1 {
		t.Fatalf("%d objects, %v, %v", len(read.read.Objects), read.read.Broken, err)
	}
	for _, name := range []string{filepath.Join(top, "one.yaml"), "-"} {
		if err := read.take(name); !errors.Is(err, errTooMuch) {
			t.Errorf("%s is read: %v", name, err)
		}
	}
}

// dated is an image that was made some days before noon.
func dated(t *testing.T, days int) v1.Image {
	t.Helper()
	image, err := mutate.CreatedAt(empty.Image, v1.Time{Time: noon.AddDate(0, 0, -days)})
	if err != nil {
		t.Fatal(err)
	}
	return image
}

func TestRegistriesAreAskedWithTheLoginsOfTheDockerConfiguration(t *testing.T) {
	registry := distribution.Start(t)
	registry.Push(t, "lab/lis:1", dated(t, 200))
	pinned := registry.Host() + "/lab/lis@" + registry.Push(t, "lab/lis:2", dated(t, 10))
	login := base64.StdEncoding.EncodeToString([]byte(distribution.Username + ":" + distribution.Password))
	top := files(t, map[string]string{
		"lw.yaml": enforcing, "stale.yaml": podOf(registry.Host() + "/lab/lis:1"), "pinned.yaml": strings.ReplaceAll(podOf(pinned), "name: lis,", "name: pinned,"),
		"config/labguard.yaml": fmt.Sprintf("trustDomain: lab.example\nregistries: [{host: %q, insecure: true, allowedAddresses: [127.0.0.0/8]}]\n", registry.Host()),
		"docker/config.json":   fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, registry.Host(), login), "nologin/config.json": "{}",
		"wrong/config.json":  fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, registry.Host(), base64.StdEncoding.EncodeToString([]byte("ann:s3cr3t"))),
		"helper/config.json": fmt.Sprintf(`{"credHelpers": {%q: "is-not-installed"}}`, registry.Host()),
	})
	t.Chdir(top)
	ask := func(t *testing.T, docker string, arguments ...string) (string, int) {
		t.Helper()
		t.Setenv("DOCKER_CONFIG", filepath.Join(top, docker))
		out, errOut, err := command(t, "", append([]string{"check", "-f", "stale.yaml", "-f", "pinned.yaml", "-f", "lw.yaml"}, arguments...)...)
		if strings.Contains(out+errOut, "s3cr3t") || strings.Contains(out+errOut, distribution.Password) {
			t.Errorf("it tells a secret:\n%s%s", out, errOut)
		}
		if err == nil {
			return out + errOut, 0
		}
		return out + errOut, exitCode(err)
	}
	configured := []string{"--config", "config/labguard.yaml"}
	for docker, want := range map[string]string{
		"nologin": "CredentialsNotReadable: registry " + registry.Host() + " wants credentials, and your docker configuration has none for it: run docker login " + registry.Host(),
		"wrong":   "CredentialsRejected: registry " + registry.Host() + " refuses the credentials of your docker configuration: run docker login " + registry.Host() + " anew",
		"helper":  "NotResolved: the credentials for registry " + registry.Host() + " cannot be read from your docker configuration or its helper: docker login " + registry.Host() + " shows why",
	} {
		if out, code := ask(t, docker, append(configured, "--cache-dir", t.TempDir())...); code != exitUnanswered || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", docker, code, exitUnanswered, want, out)
		}
	}
	if out, code := ask(t, "docker", "--cache-dir", t.TempDir()); code != exitUnanswered || !strings.Contains(out, "RegistryAddressRefused") || !strings.Contains(out, "give the file with that configuration to --config") {
		t.Errorf("a loopback address is called though nobody allows it, exit code %d:\n%s", code, out)
	}
	kept := filepath.Join(t.TempDir(), "facts")
	before := registry.Requests()
	for range 2 {
		out, code := ask(t, "docker", append(configured, "--cache-dir", kept)...)
		if code != exitBad || !strings.Contains(out, "stale.yaml:1 Pod pathology/lis is refused") || !strings.Contains(out, "2 objects: 1 let in, 1 refused") {
			t.Fatalf("exit code %d:\n%s", code, out)
		}
		if before == 0 {
			break
		}
		if registry.Requests() == before {
			t.Fatal("no registry was asked")
		}
		registry.Stop() // the second run has all it needs
		before = 0
	}
	content, err := os.ReadFile(filepath.Join(kept, "images.json"))
	if err != nil || strings.Contains(string(content), distribution.Password) || strings.Contains(string(content), login) {
		t.Errorf("the cache is\n%s%v", content, err)
	}
	if info, err := os.Stat(filepath.Join(kept, "images.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	out, code := ask(t, "docker", append(configured, "--cache-dir", t.TempDir())...)
	if want := "RegistryUnreachable: no connection to registry " + registry.Host(); code != exitUnanswered || !strings.Contains(out, want) {
		t.Errorf("exit code %d, want %q:\n%s", code, want, out)
	}
}

func TestACacheThatIsBrokenIsBegunAnew(t *testing.T) {
	top := files(t, map[string]string{"lw.yaml": enforcing, "a.yaml": podOf("r.example/lis:1"), "cache/images.json": "{"})
	t.Chdir(top)
	_, errOut, err := command(t, "", "check", "-f", "a.yaml", "-f", "lw.yaml", "--offline", "--cache-dir", "cache")
	if want := "Warning: cache/images.json is not what this version of the plugin has written: it is written anew\n"; errOut != want || exitCode(err) != exitUnanswered {
		t.Errorf("it says %q and %v", errOut, err)
	}
}

func TestFactsThatOthersCanWriteAreNotTaken(t *testing.T) {
	const digest = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	planted := `{"version": 1, "tags": {}, "contents": {"` + digest + `": {"Digest": "` + digest + `", "Platform": {"OS": "linux", "Architecture": "amd64"}, "ConfigCreated": "2026-11-01T00:00:00Z"}}}`
	for what, one := range map[string]struct {
		// directory and file are the rights of both.
		directory, file os.FileMode
		// base is the variable for the directory for caches.
		base, says string
		taken      bool
	}{
		"one's own":                   {0o700, 0o600, "BASE", "", true},
		"one that others may read":    {0o755, 0o644, "BASE", "", true},
		"a directory of everybody":    {0o777, 0o600, "BASE", "Warning: facts of earlier runs are neither read nor kept: directory BASE/labguard: others may write it: chmod go-w takes that away\n", false},
		"a directory of a group":      {0o770, 0o600, "BASE", "Warning: facts of earlier runs are neither read nor kept: directory BASE/labguard: others may write it: chmod go-w takes that away\n", false},
		"a file of everybody":         {0o700, 0o666, "BASE", "Warning: facts of earlier runs are neither read nor kept: BASE/labguard/images.json: others may write it: chmod go-w takes that away\n", false},
		"no directory of one's own":   {0o700, 0o600, "", "Warning: you have no directory for caches (neither $XDG_CACHE_HOME nor $HOME are defined), so nothing is kept for the next run: name one with --cache-dir\n", false},
		"a directory without a start": {0o700, 0o600, "caches", "Warning: you have no directory for caches (path in $XDG_CACHE_HOME is relative), so nothing is kept for the next run: name one with --cache-dir\n", false},
	} {
		t.Run(what, func(t *testing.T) {
			top := files(t, map[string]string{"lw.yaml": enforcing, "a.yaml": podOf("r.example/lis@" + digest), "cache/labguard/images.json": planted})
			base := filepath.Join(top, "cache")
			if err := errors.Join(os.Chmod(filepath.Join(base, "labguard", "images.json"), one.file), os.Chmod(filepath.Join(base, "labguard"), one.directory)); err != nil {
				t.Fatal(err)
			}
			t.Chdir(top)
			t.Setenv("HOME", "")
			t.Setenv("TMPDIR", base) // what all users of a machine share
			t.Setenv("XDG_CACHE_HOME", strings.ReplaceAll(one.base, "BASE", base))
			out, errOut, err := command(t, "", "check", "-f", "a.yaml", "-f", "lw.yaml", "--offline")
			if want := strings.ReplaceAll(one.says, "BASE", base); errOut != want || (err == nil) != one.taken {
				t.Errorf("%v, and it says %q, want %q:\n%s", err, errOut, want, out)
			}
		})
	}
}

func TestACheckIsWrittenForPrograms(t *testing.T) {
	top := files(t, map[string]string{"lw.yaml": enforcing, "a.yaml": podOf("r.example/lis:1"), "values.yaml": "a: 1\n"})
	known := files(t, map[string]string{"f.yaml": facts})
	t.Chdir(top)
	out, errOut, code, _ := checking(t, podOf("r.example/lis:2"), "-f", ".", "-f", "-", "--offline", "--facts", known, "-o", "json")
	var report struct {
		Counts  struct{ Objects, Refuses int }
		Results []struct {
			File, Kind, Verdict string
			Line                int
			Findings            []struct {
				Rule, Field string
				Line        int
			}
		}
		Skipped []struct{ File string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitBad || errOut != "" {
		t.Fatalf("exit code %d, %v, %q:\n%s", code, err, errOut, out)
	}
	if report.Counts.Objects != 2 || report.Counts.Refuses != 1 || len(report.Skipped) != 1 || report.Skipped[0].File != "values.yaml" {
		t.Errorf("%+v", report)
	}
	if one := report.Results[1]; one.File != "a.yaml" || one.Findings[0].Rule != "ImageStale" || one.Findings[0].Line != 7 || one.Findings[0].Field != "spec.containers[0].image" {
		t.Errorf("%+v", one)
	}
	out, _, code, _ = checking(t, "", "-f", ".", "--offline", "--facts", known, "-o", "sarif")
	if !json.Valid([]byte(out)) || code != exitBad || !strings.Contains(out, `"uri": "a.yaml"`) || !strings.Contains(out, `"startLine": 7`) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// clusterAt is a kubeconfig for a cluster with some answers.
func clusterAt(t *testing.T, handler http.Handler) string {
	t.Helper()
	listener := httptest.NewServer(handler)
	t.Cleanup(listener.Close)
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: %q}}]\ncontexts: [{name: a, context: {cluster: a, namespace: pathology}}]\ncurrent-context: a\n", listener.URL)
	return filepath.Join(files(t, map[string]string{"config": config}), "config")
}

func TestAClusterTellsWhatIsEnforcedAndWhatRuns(t *testing.T) {
	known := pathology()
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\nspec: {template: {metadata: {labels: {app: lis}}, spec: {containers: [{name: lis, image: \"registry.example/lab/lis:1.9\"}]}}}\n"
	top := files(t, map[string]string{"held.yaml": strings.ReplaceAll(deployment, "NAME", "lis"), "new.yaml": strings.ReplaceAll(deployment, "NAME", "other"), "generated.yaml": strings.ReplaceAll(deployment, "name: NAME", "generateName: x-"),
		"moved.yaml": strings.NewReplacer("NAME", "lis", "app: lis", "app: none").Replace(deployment)})
	t.Chdir(top)
	config := clusterAt(t, &server{answers: known})
	for file, want := range map[string]string{
		"held.yaml":      "stale since 2026-10-27. No fresher build exists under its tag: build it anew and push it. It is judged by what its tag meant on 2026-08-18, when labguard first read it.\n  the cluster holds it now, and it stays so after any write but labguard's own\n",
		"moved.yaml":     "moved.yaml:1 Deployment pathology/lis is held\n", // admission asks by the labels that it had, too
		"new.yaml":       "new.yaml:1 Deployment pathology/other is held\n  line 4: ImageStale container lis: image registry.example/lab/lis:1.9",
		"generated.yaml": "generated.yaml:1 Deployment pathology/x-* is held\n  line 4: ImageStale",
	} {
		out, errOut, code, err := checking(t, "", "-f", file, "--cluster", "--offline", "--kubeconfig", config)
		if code != exitBad || !strings.Contains(out, want) || errOut != "" {
			t.Errorf("%s: exit code %d, %v:\n%s%s\nwant %s", file, code, err, out, errOut, want)
		}
	}
	out, errOut, code, err := checking(t, "", "-f", "new.yaml", "--offline")
	if want := "Warning: there is no LabWorkload, so nothing is enforced: give them with -f or --facts, or take those of the cluster with --cluster\n"; code != 0 || errOut != want {
		t.Errorf("exit code %d, %v:\n%s%s", code, err, out, errOut)
	}
	_, _, code, err = checking(t, "", "-f", "new.yaml", "--cluster", "--offline", "--kubeconfig", clusterAt(t, http.NotFoundHandler()))
	if want := "the cluster does not know labworkloads.labguard.dev: labguard is not installed there"; code != exitUnanswered || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestOnlyObjectsOfKindsWithANamespaceAreNamedWithOne(t *testing.T) {
	for kind, want := range map[string]string{
		"LabWorkload": "LabWorkload chemistry/a", "RolloutRecord": "RolloutRecord chemistry/a", "AirlockProfile": "AirlockProfile chemistry/a", "BreakGlassUse": "BreakGlassUse chemistry/a",
		"ImageRecord": "ImageRecord a", "TrainingRecord": "TrainingRecord a", "IdentityProvider": "IdentityProvider a",
	} {
		out, errOut, code, err := checking(t, "apiVersion: labguard.dev/v1alpha1\nkind: "+kind+"\nmetadata: {name: a}\nspec: {nothing: 1}\n", "-f", "-", "--offline", "-n", "chemistry")
		if code != exitBad || !strings.HasPrefix(out, "-:1 "+want+" is invalid\n") {
			t.Errorf("%s: exit code %d, %v, want %q:\n%s%s", kind, code, err, want, out, errOut)
		}
	}
}

func TestNothingThatManifestsSayCommandsTheTerminal(t *testing.T) {
	const hostile = "a\u009b31m\u202eb\x7f\U000e0001"
	named := strings.ReplaceAll(podOf("r.example/lis:1"), "name: lis", `name: "a\u009b31m\u202eb\u007f\U000e0001"`)
	kind := `{"apiVersion": "v1", "kind": "` + hostile + `"}`
	top := files(t, map[string]string{"lw.yaml": enforcing, "facts/f.yaml": facts, "named.yaml": named, "kind.json": kind, "\u202e.yaml": "a: b: \u009bc\n", "v\u202e.yaml": "a: 1\n"})
	t.Chdir(top)
	for _, output := range []string{"", "json", "sarif"} {
		out, errOut, code, err := checking(t, "", "-f", ".", "--facts", "facts", "--offline", "-o", output)
		if code != exitBad || !strings.Contains(out, `\u202e`) || !strings.Contains(out, "ImageStale") {
			t.Errorf("-o %q: exit code %d, %v:\n%s%s", output, code, err, out, errOut)
		}
		for line := range strings.SplitSeq(out+errOut, "\n") {
			if visible(line) != line {
				t.Errorf("-o %q prints %q", output, line)
			}
		}
	}
}

func TestAnObjectThatCannotBeLookedUpIsNotTakenForANewOne(t *testing.T) {
	known := pathology()
	top := files(t, map[string]string{"a.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a/b}\n" +
		"spec: {template: {metadata: {labels: {app: lis}}, spec: {containers: [{name: lis, image: \"registry.example/lab/lis:1.9\"}]}}}\n"})
	t.Chdir(top)
	out, errOut, code, err := checking(t, "", "-f", "a.yaml", "--cluster", "--offline", "--kubeconfig", clusterAt(t, &server{answers: known}))
	if want := `a.yaml:1: "a/b" is no name: it `; code != exitUnanswered || err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("exit code %d, %v, want %d and %s:\n%s%s", code, err, exitUnanswered, want, out, errOut)
	}
}

func TestObjectsWithoutANamespaceAreNotForgotten(t *testing.T) {
	top := files(t, map[string]string{"lw.yaml": enforcing, "a.yaml": strings.ReplaceAll(podOf("r.example/lis:1"), ", namespace: pathology", ""), "facts/f.yaml": facts})
	t.Chdir(top)
	_, errOut, code, _ := checking(t, "", "-f", "a.yaml", "-f", "lw.yaml", "--offline", "--facts", "facts")
	if want := "Warning: 1 object is without a namespace, and there is no LabWorkload in default: say with -n where they go\n"; code != 0 || errOut != want {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	out, errOut, code, _ := checking(t, "", "-n", "pathology", "-f", "a.yaml", "-f", "lw.yaml", "--offline", "--facts", "facts")
	if code != exitBad || errOut != "" || !strings.Contains(out, "Pod pathology/lis is refused") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
}
