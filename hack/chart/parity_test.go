// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// onlyHelm are the labels and annotations that Helm's objects have besides.
var onlyHelm = []string{
	nameLabel, "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart", "helm.sh/resource-policy",
}

// byName are objects by kind, namespace and name, without what Helm and kustomize cannot have in common.
func byName(t *testing.T, objects []*unstructured.Unstructured) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, object := range objects {
		object = object.DeepCopy()
		object.SetLabels(without(object.GetLabels()))
		object.SetAnnotations(without(object.GetAnnotations()))
		switch kind, name := object.GetKind(), object.GetName(); {
		case kind == "ConfigMap" && name == "labguard": // written in another order
			text, _, _ := unstructured.NestedString(object.Object, "data", "configuration.yaml")
			var configuration any
			if err := yaml.Unmarshal([]byte(text), &configuration); err != nil {
				t.Fatal(err)
			}
			object.Object["data"] = map[string]any{"configuration.yaml": configuration}
		case kind == "Deployment": // in kustomize a change of the configuration needs a restart
			unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "annotations")
		}
		// Through YAML, so that numbers are of one type.
		content, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		var same any
		if err := yaml.Unmarshal(content, &same); err != nil {
			t.Fatal(err)
		}
		key := strings.Join([]string{object.GetKind(), object.GetNamespace(), object.GetName()}, " ")
		if _, twice := all[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		all[key] = same
	}
	return all
}

func without(entries map[string]string) map[string]string {
	left := map[string]string{}
	for key, value := range entries {
		if !slices.Contains(onlyHelm, key) {
			left[key] = value
		}
	}
	if len(left) == 0 {
		return nil
	}
	return left
}

func TestHelmAndKustomizeRenderTheSameObjects(t *testing.T) {
	fromConfig := map[string]any{}
	for _, folder := range []string{"default", "prometheus"} {
		objects, err := build(filepath.Join(root, "config", folder))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(fromConfig, byName(t, objects))
	}
	// Helm makes the namespace itself, with --create-namespace.
	if _, found := fromConfig["Namespace  "+systemNamespace]; !found {
		t.Errorf("config/default makes no namespace")
	}
	delete(fromConfig, "Namespace  "+systemNamespace)

	configuration, found, err := unstructured.NestedMap(asMap(t, fromConfig["ConfigMap "+systemNamespace+" labguard"]), "data", "configuration.yaml")
	if !found || err != nil {
		t.Fatalf("config/manager has no configuration: %v", err)
	}
	fromHelm, _ := rendered(t, values(map[string]any{
		"image.repository": "labguard", "image.tag": "dev", "configuration": configuration, "prometheus.enabled": true,
	}))
	if diff := cmp.Diff(fromConfig, byName(t, fromHelm)); diff != "" {
		t.Errorf("kustomize and Helm differ (-kustomize +helm):\n%s", diff)
	}
	if len(fromConfig) < 20 {
		t.Errorf("compared %d objects alone", len(fromConfig))
	}
}

func asMap(t *testing.T, object any) map[string]any {
	t.Helper()
	content, isMap := object.(map[string]any)
	if !isMap {
		t.Fatalf("%T is no object", object)
	}
	return content
}

func TestAReleaseInAnotherNamespaceNamesNoOther(t *testing.T) {
	objects, hooks := renderedIn(t, "platform", values(map[string]any{"prometheus.enabled": true}))
	for _, object := range slices.Concat(objects, hooks) {
		if object.GetKind() == "CustomResourceDefinition" { // descriptions may give it as an example
			continue
		}
		if content := stringOf(t, object.Object); strings.Contains(content, systemNamespace) {
			t.Errorf("%s %s names %s:\n%s", object.GetKind(), object.GetName(), systemNamespace, content)
		}
	}
}

// What Prometheus and Grafana read has braces of its own, and gets through the templates as it is.
func TestTheDashboardIsTheOneOfConfig(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	objects, _ := rendered(t, allValues(t))
	dashboard := named(t, objects, "ConfigMap", "labguard-dashboard")
	got, _, _ := unstructured.NestedString(dashboard.Object, "data", "labguard.json")
	if diff := cmp.Diff(string(want), got); diff != "" || !strings.Contains(got, "{{") {
		t.Errorf("-config +chart:\n%s", diff)
	}
	if dashboard.GetLabels()["grafana_dashboard"] != "1" {
		t.Errorf("Grafana's sidecar does not find it by %v", dashboard.GetLabels())
	}
}

func TestPrometheusSelectsWhatItReadsAndNothingElse(t *testing.T) {
	objects, hooks := rendered(t, allValues(t))
	var got []string
	for _, object := range slices.Concat(objects, hooks) {
		if object.GetLabels()["release"] == "monitoring" {
			got = append(got, object.GetKind())
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"PrometheusRule", "ServiceMonitor"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
