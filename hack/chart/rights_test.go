// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// roles are the rules of all roles by kind and name.
func roles(t *testing.T, objects []*unstructured.Unstructured) map[string][]rbacv1.PolicyRule {
	t.Helper()
	found := map[string][]rbacv1.PolicyRule{}
	for _, object := range objects {
		if object.GetKind() != "ClusterRole" && object.GetKind() != "Role" {
			continue
		}
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		found[object.GetKind()+" "+object.GetName()] = role.Rules
	}
	return found
}

func TestTheChartGivesTheRightsOfConfig(t *testing.T) {
	want := map[string][]rbacv1.PolicyRule{}
	for _, test := range []struct {
		folder string
		values map[string]any
	}{
		{"rbac", values(nil)},
		{"prometheus", allValues(t)}, // besides
	} {
		fromConfig, err := build(filepath.Join(root, "config", test.folder))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(want, roles(t, fromConfig))
		objects, _ := rendered(t, test.values)
		if diff := cmp.Diff(want, roles(t, objects)); diff != "" {
			t.Errorf("with config/%s (-config +chart):\n%s", test.folder, diff)
		}
	}
	if len(want["ClusterRole labguard"]) < 10 || len(want["Role labguard"]) == 0 {
		t.Errorf("compared %d and %d rules", len(want["ClusterRole labguard"]), len(want["Role labguard"]))
	}
}

func TestNoRightIsAWildcard(t *testing.T) {
	objects, hooks := rendered(t, allValues(t))
	for name, rules := range roles(t, slices.Concat(objects, hooks)) {
		for _, rule := range rules {
			for _, word := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.ResourceNames, rule.NonResourceURLs) {
				if strings.Contains(word, "*") {
					t.Errorf("%s has %q in %v", name, word, rule)
				}
			}
			for _, verb := range []string{"escalate", "bind", "impersonate", "deletecollection"} {
				if slices.Contains(rule.Verbs, verb) {
					t.Errorf("%s may %s %v", name, verb, rule.Resources)
				}
			}
		}
	}
}

// labguard reads one Secret by its name, which it made itself, and those of teams that bind the role for it.
func TestNoSecretCanBeReadByDefault(t *testing.T) {
	objects, hooks := rendered(t, values(nil))
	all := slices.Concat(objects, hooks)
	reading := []string{"get", "list", "watch"}
	for name, rules := range roles(t, all) {
		for _, rule := range rules {
			if !slices.Contains(rule.Resources, "secrets") || !slices.ContainsFunc(rule.Verbs, func(verb string) bool { return slices.Contains(reading, verb) }) {
				continue
			}
			own := name == "Role labguard" && slices.Equal(rule.ResourceNames, []string{"labguard-webhook-authority"})
			if !own && name != "ClusterRole labguard-pull-secret-reader" {
				t.Errorf("%s reads Secrets: %v", name, rule)
			}
		}
	}
	for _, object := range all {
		role, _, _ := unstructured.NestedString(object.Object, "roleRef", "name")
		if role != "" && role != "labguard" {
			t.Errorf("%s %s binds %s, which is for teams and persons", object.GetKind(), object.GetName(), role)
		}
	}
}

func TestTheAnchorGrantsNothing(t *testing.T) {
	objects, _ := rendered(t, values(nil))
	rules, found := roles(t, objects)["ClusterRole labguard-webhook-anchor"]
	if !found || len(rules) != 0 {
		t.Errorf("found %v with %v", found, rules)
	}
	if kept := named(t, objects, "ClusterRole", "labguard-webhook-anchor").GetAnnotations()["helm.sh/resource-policy"]; kept != "" {
		t.Errorf("the anchor, and with it the gate, would stay at uninstall")
	}
}
