// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

const samples = "../../config/samples"

// Every sample is one that the API server takes, and one that is applied together with the others.
func TestSamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(samples, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Resources []string }
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(samples, "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("the samples are %q, %v", files, err)
	}
	kinds := map[string]int{}
	for _, file := range files {
		name := filepath.Base(file)
		if name == "kustomization.yaml" {
			continue
		}
		if !slices.Contains(list.Resources, name) {
			t.Errorf("%s is not in kustomization.yaml", name)
		}
		t.Run(name, func(t *testing.T) {
			for _, sample := range objectsIn(t, file) {
				kinds[sample.GetKind()]++
				if _, err := create(t, samplesOf(t, sample), sample); err != nil {
					t.Errorf("%s %s: %v", sample.GetKind(), sample.GetName(), err)
				}
			}
		})
	}
	for _, kind := range []string{"LabWorkload", "IdentityProvider", "TrainingRecord"} {
		if kinds[kind] == 0 {
			t.Errorf("there is no sample of a %s", kind)
		}
	}
}

// What docs/access.md shows can be copied.
func TestExamplesOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, rest := range strings.Split(string(page), "\n```yaml\n")[1:] {
		example, _, _ := strings.Cut(rest, "\n```")
		var sample *unstructured.Unstructured
		switch {
		case strings.HasPrefix(example, "spec:\n"):
			sample = labWorkload(t, "")
			if err := yaml.Unmarshal([]byte(example), &sample.Object); err != nil {
				t.Fatal(err)
			}
			sample.Object["spec"].(map[string]any)["selector"] = map[string]any{"matchLabels": map[string]any{"app": "lis"}}
			sample.SetNamespace(metav1.NamespaceDefault)
		case strings.Contains(example, "kind: IdentityProvider\n"):
			sample = &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(example), &sample.Object); err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		tried++
		if _, err := create(t, samplesOf(t, sample), sample); err != nil {
			t.Errorf("not accepted:\n%s\n%v", example, err)
		}
	}
	if tried < 2 {
		t.Errorf("the page shows %d examples of labguard's kinds", tried)
	}
}

func objectsIn(t *testing.T, file string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, object)
	}
	return objects
}

// samplesOf is where a sample goes. The namespaces of samples are the reader's, so it goes into the default one here.
func samplesOf(t *testing.T, sample *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	c, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	resource := c.Resource(v1alpha1.GroupVersion.WithResource(strings.ToLower(sample.GetKind()) + "s"))
	if sample.GetNamespace() == "" {
		return resource
	}
	sample.SetNamespace(metav1.NamespaceDefault)
	return resource.Namespace(metav1.NamespaceDefault)
}
