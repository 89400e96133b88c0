// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/labguard/labguard/internal/testutil/documented"
)

// What takes minutes is run by .ci/run, or measures. Here make says what it would do, which it does only for targets that there are.
func TestMakeKnowsWhatPagesTellItToDo(t *testing.T) {
	d := sit(t)
	for name, block := range map[string]string{
		"README":             documented.Block(t, "README.md", "See it", 1),
		"images":             documented.Block(t, "docs/container-images.md", "Container images", 1),
		"images for install": documented.Block(t, "docs/install.md", "Into the cluster", 1),
		"bench-access":       documented.Block(t, "docs/performance.md", "One answer about a person, in the process", 1),
		"bench":              documented.Block(t, "docs/performance.md", "A whole write, at an API server", 1),
		"bench-airlock":      documented.Block(t, "docs/performance.md", "A connection through the sidecar", 1),
		"bench-injection":    documented.Block(t, "docs/performance.md", "The sidecar in a pod", 1),
	} {
		t.Run(name, func(t *testing.T) {
			for line := range strings.Lines(block) {
				target, is := strings.CutPrefix(line, "make ")
				if !is {
					t.Errorf("make is not told to do %q", line)
					continue
				}
				d.checkout().Must(t, "make --no-print-directory -n "+target)
			}
		})
	}
}

func TestImagesAreMadeAsTheSessionSays(t *testing.T) {
	d := sit(t)
	for _, step := range documented.Session(t, "docs/container-images.md", "Container images", 2) {
		out := d.checkout().Must(t, strings.Replace(step.Command, "make ", "make -n ", 1))
		if !strings.Contains(out, "./hack/release") || !strings.Contains(out, "-push") {
			t.Errorf("make would run %s", out)
		}
	}
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("the page packs a folder with tar, which is not installed")
	}
	d.run("mkdir -p dist/images/manager && echo '{}' > dist/images/manager/index.json")
	d.run(documented.Block(t, "docs/container-images.md", "Where they are on disk", 1))
	if out := d.run("tar -tf manager.tar"); !strings.Contains(out, "index.json") {
		t.Errorf("the archive has %s", out)
	}
}

func TestOneAnswerIsMeasured(t *testing.T) {
	d := sit(t)
	block := documented.With(t, documented.Block(t, "docs/performance.md", "One answer, in the process", 1), "-benchmem", "-benchmem -benchtime 1x")
	if out := d.checkout().Must(t, block); !strings.Contains(out, "BenchmarkServing") {
		t.Errorf("nothing is measured:\n%s", out)
	}
}

func TestMakeHelpIsOnThePage(t *testing.T) {
	d := sit(t)
	for _, step := range documented.Session(t, "README.md", "Developing", 1) {
		if got := d.checkout().Must(t, step.Command); strings.TrimSpace(got) != strings.TrimSpace(step.Output) {
			t.Errorf("%sprints\n%s", step.Command, got)
		}
	}
}
