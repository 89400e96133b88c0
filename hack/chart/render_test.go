// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const (
	root     = "../.."
	chartDir = root + "/charts/labguard"
	// oldest is the oldest Kubernetes that the chart lets in.
	oldest, newest = "v1.36.0", "v1.37.2"
	repository     = "registry.lab.example/platform/labguard"
)

// values are the least that the chart needs, and what overrides it, as dotted paths.
func values(overrides map[string]any) map[string]any {
	all := map[string]any{"image": map[string]any{"repository": repository}}
	for _, path := range slices.Sorted(maps.Keys(overrides)) {
		set(all, strings.Split(path, "."), overrides[path])
	}
	return all
}

func set(into map[string]any, path []string, value any) {
	if len(path) == 1 {
		into[path[0]] = value
		return
	}
	child, isMap := into[path[0]].(map[string]any)
	if !isMap {
		child = map[string]any{}
		into[path[0]] = child
	}
	set(child, path[1:], value)
}

// allValues sets every key.
func allValues(t *testing.T) map[string]any {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "all.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := yaml.UnmarshalStrict(content, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func load(t *testing.T) *chart.Chart {
	t.Helper()
	loaded, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// helmTemplate renders the chart as `helm template` does, for a version of Kubernetes.
func helmTemplate(t *testing.T, namespace, version string, values map[string]any) (*release.Release, error) {
	t.Helper()
	kubernetes, err := common.ParseKubeVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler)))
	install.DryRunStrategy, install.KubeVersion = action.DryRunClient, kubernetes
	install.ReleaseName, install.Namespace = "labguard", namespace
	made, err := install.Run(load(t), values)
	if err != nil {
		return nil, err
	}
	rendered, isRelease := made.(*release.Release)
	if !isRelease {
		t.Fatalf("helm made a %T", made)
	}
	return rendered, nil
}

// rendered are the objects of the release and of its hooks.
func rendered(t *testing.T, values map[string]any) (objects, hooks []*unstructured.Unstructured) {
	t.Helper()
	return renderedIn(t, systemNamespace, values)
}

func renderedIn(t *testing.T, namespace string, values map[string]any) (objects, hooks []*unstructured.Unstructured) {
	t.Helper()
	made, err := helmTemplate(t, namespace, newest, values)
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range made.Hooks {
		hooks = append(hooks, decode(t, hook.Manifest)...)
	}
	return decode(t, made.Manifest), hooks
}

func decode(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(manifest)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object := map[string]any{}
		if err := yaml.UnmarshalStrict(document, &object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(object) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: object})
		}
	}
}

// files renders the templates in a cluster with objects and APIs, as `helm install` does: by file.
func files(t *testing.T, cluster engine.ClientProvider, apis common.VersionSet, values map[string]any) (map[string]string, error) {
	t.Helper()
	kubernetes, err := common.ParseKubeVersion(newest)
	if err != nil {
		t.Fatal(err)
	}
	loaded := load(t)
	all, err := util.ToRenderValues(loaded, values, common.ReleaseOptions{Name: "labguard", Namespace: systemNamespace, IsInstall: true, Revision: 1},
		&common.Capabilities{KubeVersion: *kubernetes, APIVersions: apis})
	if err != nil {
		t.Fatal(err)
	}
	return engine.RenderWithClientProvider(loaded, all, cluster)
}

// named is the one object of a kind with a name.
func named(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind && object.GetName() == name {
			return object
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}
