// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestCopiedDefinitionsAreThoseOfTheModule(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, filepath.Join(strings.TrimSpace(string(out)), "deploy", "crds"))
	got := read(t, "certmanager")
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name, content := range want {
		if !bytes.Equal(got[name], content) {
			t.Errorf("certmanager/%s is not that of the module: run go generate ./...", name)
		}
	}
}

func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	contents := map[string][]byte{}
	for _, file := range files {
		if contents[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return contents
}

func TestObjectsAreBuiltInOnesAndThoseGiven(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"kustomization.yaml": "kind: Kustomization\n",
		"crd.yaml": "---\nkind: CustomResourceDefinition\nspec:\n  group: example.com\n  names: {plural: things}\n" +
			"  versions: [{name: v1, served: true}, {name: v0, served: false}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := Objects([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	defined := definedResources(objects)
	for gv, resource := range map[schema.GroupVersion]string{
		{Group: "example.com", Version: "v1"}:     "things",
		{Group: "cert-manager.io", Version: "v1"}: "certificates",
	} {
		if !strings.Contains(strings.Join(defined[gv], " "), resource) {
			t.Errorf("%s has %v, want %s among it", gv, defined[gv], resource)
		}
	}
	if _, unserved := defined[schema.GroupVersion{Group: "example.com", Version: "v0"}]; unserved {
		t.Error("a version that is not served would be waited for")
	}
	for _, o := range objects {
		if o.GetKind() == "Kustomization" {
			t.Error("something else than a definition would be applied")
		}
	}
}

func TestDefinitionsThatAreNotThereAreRefused(t *testing.T) {
	for _, path := range []string{t.TempDir(), "no-such-file.yaml"} {
		if _, err := Objects([]string{path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("want an error that names %s, got %v", path, err)
		}
	}
}
