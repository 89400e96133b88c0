// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	templatesDir = "charts/labguard/templates"
	// definitionsDir is the folder in it with a file for each kind.
	definitionsDir = "crds"
	// systemNamespace is labguard's own in config/; in the chart it is that of the release.
	systemNamespace = "labguard-system"
	// monitoringGroup is that of the Prometheus operator.
	monitoringGroup = "monitoring.coreos.com"
	nameLabel       = "app.kubernetes.io/name"

	// What stands for a template until the object is YAML.
	labelsHere    = "labels-of-the-chart"
	selectedHere  = "labels-that-prometheus-selects"
	namespaceHere = "namespace-of-the-release"
)

// build is what kustomize makes of a folder.
func build(dir string) ([]*unstructured.Unstructured, error) {
	found, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	objects := make([]*unstructured.Unstructured, 0, found.Size())
	for _, one := range found.Resources() {
		content, err := one.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", dir, err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(content); err != nil {
			return nil, fmt.Errorf("build %s: %w", dir, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// generate are the generated templates by their path below templatesDir.
func generate(root string) (map[string]string, error) {
	templates := map[string]string{}
	definitions, err := build(filepath.Join(root, "config", "crd"))
	if err != nil {
		return nil, err
	}
	for _, definition := range definitions {
		annotations := definition.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		// Without its definition every LabWorkload is deleted, and every record with it.
		annotations["helm.sh/resource-policy"] = "keep"
		definition.SetAnnotations(annotations)
		kind, _, _ := strings.Cut(definition.GetName(), ".")
		content, err := file("config/crd", ".Values.crds.install", definition)
		if err != nil {
			return nil, err
		}
		templates[path.Join(definitionsDir, kind+".yaml")] = content
	}
	for _, folder := range []struct{ name, condition string }{{"rbac", ""}, {"prometheus", ".Values.prometheus.enabled"}} {
		objects, err := build(filepath.Join(root, "config", folder.name))
		if err != nil {
			return nil, err
		}
		if templates[folder.name+".yaml"], err = file("config/"+folder.name, folder.condition, objects...); err != nil {
			return nil, err
		}
	}
	return templates, nil
}

// file is a template with objects. A condition says when they are rendered.
func file(source, condition string, objects ...*unstructured.Unstructured) (string, error) {
	var content strings.Builder
	fmt.Fprintf(&content, "{{- /* Written from %s by hack/chart: change that and run `make generate`. */}}\n", source)
	if condition != "" {
		fmt.Fprintf(&content, "{{- if %s }}\n", condition)
	}
	for _, object := range objects {
		one, err := template(object)
		if err != nil {
			return "", fmt.Errorf("%s: %w", source, err)
		}
		content.WriteString("---\n" + one)
	}
	if condition != "" {
		content.WriteString("{{- end }}\n")
	}
	return content.String(), nil
}

// template is an object as a template: with the labels of the chart, in the namespace of the release. Braces of its own stay what they are.
func template(object *unstructured.Unstructured) (string, error) {
	object = object.DeepCopy()
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	delete(labels, nameLabel) // the chart gives it to everything
	labels[labelsHere] = ""
	kind := object.GroupVersionKind()
	if kind.Group == monitoringGroup {
		labels[selectedHere] = ""
	}
	object.SetLabels(labels)
	if kind.Kind != "CustomResourceDefinition" { // their descriptions may give it as an example
		inReleaseNamespace(object.Object)
	}
	content, err := yaml.Marshal(object.Object)
	if err != nil {
		return "", fmt.Errorf("encode %s %s: %w", kind.Kind, object.GetName(), err)
	}
	return strings.NewReplacer(
		"{{", `{{ "{{" }}`, "}}", `{{ "}}" }}`,
		"    "+labelsHere+`: ""`, `    {{- include "labguard.labels" . | nindent 4 }}`,
		"    "+selectedHere+`: ""`, `    {{- with .Values.prometheus.labels }}{{ toYaml . | nindent 4 }}{{ end }}`,
		namespaceHere, "{{ .Release.Namespace }}",
	).Replace(string(content)), nil
}

// inReleaseNamespace puts the namespace of the release wherever labguard's own is named: as the namespace of an object and of a subject, and in the name of a
// server. It returns value.
func inReleaseNamespace(value any) any {
	switch one := value.(type) {
	case map[string]any:
		for key, child := range one {
			one[key] = inReleaseNamespace(child)
		}
	case []any:
		for i, child := range one {
			one[i] = inReleaseNamespace(child)
		}
	case string:
		return strings.ReplaceAll(one, systemNamespace, namespaceHere)
	}
	return value
}
