// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// kindLine finds the kind of an object, and not that of a reference or of a schema, which are indented.
var kindLine = regexp.MustCompile(`(?m)^kind: *(\w+)`)

// manifestsBelow are the files of a folder with the kinds of the objects that they have.
func manifestsBelow(t *testing.T, top string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	if err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		for _, match := range kindLine.FindAllStringSubmatch(string(content), -1) {
			found[path] = append(found[path], match[1])
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// What labguard makes itself and renews would be drift to a tool that applies it.
func TestWhatLabguardMakesIsInNothingThatIsApplied(t *testing.T) {
	for _, top := range []string{"../../charts/labguard/templates", "../../config/crd", "../../config/manager", "../../config/rbac"} {
		var all []string
		for path, kinds := range manifestsBelow(t, top) {
			for _, kind := range kinds {
				if strings.HasSuffix(kind, "WebhookConfiguration") || strings.Contains(kind, "AdmissionPolicy") || kind == "Secret" {
					t.Errorf("%s has a %s", path, kind)
				}
			}
			all = append(all, kinds...)
		}
		if len(all) == 0 {
			t.Errorf("%s has no objects", top)
		}
	}
}

func TestTheChartKeepsDefinitionsAndTakesTheGateDown(t *testing.T) {
	definitions := 0
	for path, kinds := range manifestsBelow(t, "../../charts/labguard/templates") {
		if !slices.Contains(kinds, "CustomResourceDefinition") {
			continue
		}
		definitions++
		if text := read(t, path); strings.Count(text, "helm.sh/resource-policy: keep") != 1 || strings.Count(text, ".Values.crds.install") != 1 {
			t.Errorf("%s is not kept, or not under crds.install", path)
		}
	}
	if definitions == 0 {
		t.Error("the chart has no definitions among its templates")
	}
	if text := read(t, "../../charts/labguard/templates/uninstall.yaml"); !strings.Contains(text, "helm.sh/hook: pre-delete\n") || !strings.Contains(text, "- --take-down\n") {
		t.Error("nothing takes the gate down before Helm removes labguard")
	}
}
