// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/testutil/documented"
)

// requirements are the keys of a LabWorkload's spec of which pages show one alone.
var requirements = map[string]bool{"encryption": true, "images": true, "mfa": true, "network": true, "training": true}

// others are files of other programs and of labguard's configuration, by a key that they begin with, and what holds them.
var others = map[string]string{
	"trustDomain": "labguard's configuration: cmd/manager", "access": "labguard's configuration: cmd/manager", "registries": "labguard's configuration: cmd/manager",
	"image": "values of the chart: internal/e2e and hack/chart", "claimMappings": "an AuthenticationConfiguration of the API server", "- key": "expressions of an AuthenticationConfiguration: internal/testutil/authentication",
	"ignoreDifferences": "a spec of Argo CD",
}

func TestTheAPITakesWhatPagesShow(t *testing.T) {
	d := sit(t)
	d.install()
	root, tried := documented.Root(t), 0
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(append(pages, deeper...), filepath.Join(root, "README.md")) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page, err := documented.Parse(string(content))
		if err != nil {
			t.Fatal(err)
		}
		for _, fence := range page.Fences {
			if fence.Language != "yaml" {
				continue
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(name+":"+strconv.Itoa(fence.Line), func(t *testing.T) {
				for document := range strings.SplitSeq(fence.Text, "\n---\n") {
					if object := sample(t, document); object != "" {
						tried++
						on := d
						on.TB = t
						on.run("kubectl create --dry-run=server --validate=strict -f - <<'END'\n" + object + "\nEND\n")
					}
				}
			})
		}
	}
	if tried < 8 {
		t.Errorf("only %d samples were tried", tried)
	}
}

// sample is the whole object that a page shows a part of; empty if it is none of the API.
func sample(t *testing.T, document string) string {
	t.Helper()
	for key, of := range others {
		if strings.HasPrefix(key, "- ") && strings.HasPrefix(document, key) {
			t.Log(of)
			return ""
		}
	}
	var shown map[string]any
	if err := yaml.Unmarshal([]byte(document), &shown); err != nil {
		t.Fatalf("it is no YAML: %v", err)
	}
	if version, is := shown["apiVersion"].(string); is {
		if !strings.HasPrefix(version, "labguard.dev/") {
			return ""
		}
		return whole(t, shown)
	}
	spec := map[string]any{}
	for key, value := range shown {
		switch {
		case key == "spec":
			inner, is := value.(map[string]any)
			if !is {
				t.Fatal("spec is no object")
			}
			for key := range inner {
				if others[key] != "" {
					t.Logf("%s: %s", key, others[key])
					return ""
				}
			}
			spec = inner
		case requirements[key]:
			spec[key] = value
		case others[key] != "":
			t.Logf("%s: %s", key, others[key])
			return ""
		}
	}
	if len(spec) == 0 {
		t.Fatalf("nobody knows what this is: name a key of it in the table of this test\n%s", document)
	}
	return whole(t, map[string]any{"apiVersion": "labguard.dev/v1alpha1", "kind": "LabWorkload", "metadata": map[string]any{"name": "shown"}, "spec": spec})
}

// whole adds what a page leaves out, and puts the object where there is a namespace for it.
func whole(t *testing.T, object map[string]any) string {
	t.Helper()
	if spec, is := object["spec"].(map[string]any); is && object["kind"] == "LabWorkload" && spec["selector"] == nil {
		spec["selector"] = map[string]any{"matchLabels": map[string]any{"app": "lis"}}
	}
	if metadata, is := object["metadata"].(map[string]any); is && metadata["namespace"] != nil {
		metadata["namespace"] = "default"
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
