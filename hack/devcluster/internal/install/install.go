// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

//go:embed certmanager/*.yaml rights.yaml
var manifests embed.FS

// fieldManager owns what this package applies.
const fieldManager = "devcluster"

// probeEvery is how often the API server is asked whether it serves a kind.
const probeEvery = 25 * time.Millisecond

// Objects reads what every cluster begins with, and the custom resource
// definitions in crds, which are YAML files or folders of them.
func Objects(crds []string) ([]*unstructured.Unstructured, error) {
	objects, err := readDir(manifests, ".")
	if err != nil {
		return nil, fmt.Errorf("read built-in manifests: %w", err)
	}
	for _, path := range crds {
		more, err := readPath(path)
		if err != nil {
			return nil, fmt.Errorf("read --crds %s: %w", path, err)
		}
		if len(more) == 0 {
			return nil, fmt.Errorf("read --crds %s: no CustomResourceDefinition in it", path)
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// Apply creates or updates objects and returns when the API server serves all
// kinds that they define.
func Apply(ctx context.Context, config *rest.Config, objects []*unstructured.Unstructured) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	// Namespaces go first: others of the objects live in them.
	for _, namespaces := range []bool{true, false} {
		group, ctx := errgroup.WithContext(ctx)
		for _, o := range objects {
			if (o.GetKind() == "Namespace") == namespaces {
				group.Go(func() error { return apply(ctx, client, o) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return awaitServed(ctx, config, objects)
}

func apply(ctx context.Context, client dynamic.Interface, o *unstructured.Unstructured) error {
	// All kinds used here have regular plurals, so no discovery is needed.
	gvr, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
	var resource dynamic.ResourceInterface = client.Resource(gvr)
	if ns := o.GetNamespace(); ns != "" {
		resource = client.Resource(gvr).Namespace(ns)
	}
	_, err := resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// awaitServed waits until discovery lists every kind that objects define. To be
// Established is not enough: controllers find kinds by discovery, which lags.
func awaitServed(ctx context.Context, config *rest.Config, objects []*unstructured.Unstructured) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	wanted := definedResources(objects)
	var missing []string
	err = wait.PollUntilContextCancel(ctx, probeEvery, true, func(context.Context) (bool, error) {
		missing = nil
		for gv, resources := range wanted {
			missing = append(missing, notServed(client, gv, resources)...)
		}
		return len(missing) == 0, nil
	})
	if err != nil {
		slices.Sort(missing)
		return fmt.Errorf("wait for the API server to serve %s: %w", strings.Join(missing, ", "), err)
	}
	return nil
}

// notServed asks for gv anew; any error counts as not served yet.
func notServed(client discovery.DiscoveryInterface, gv schema.GroupVersion, resources []string) []string {
	served := map[string]bool{}
	if list, err := client.ServerResourcesForGroupVersion(gv.String()); err == nil {
		for _, r := range list.APIResources {
			served[r.Name] = true
		}
	}
	var missing []string
	for _, r := range resources {
		if !served[r] {
			missing = append(missing, r+"."+gv.Group)
		}
	}
	return missing
}

// definedResources are the resources of all custom resource definitions in
// objects, by served version.
func definedResources(objects []*unstructured.Unstructured) map[schema.GroupVersion][]string {
	defined := map[schema.GroupVersion][]string{}
	for _, o := range objects {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
		versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
		for _, v := range versions {
			version, _ := v.(map[string]any)
			if version["served"] != true {
				continue
			}
			name, _ := version["name"].(string)
			gv := schema.GroupVersion{Group: group, Version: name}
			defined[gv] = append(defined[gv], plural)
		}
	}
	return defined
}

func readPath(path string) ([]*unstructured.Unstructured, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	if info.IsDir() {
		objects, err = readDir(os.DirFS(path), ".")
	} else {
		objects, err = readFile(os.DirFS(filepath.Dir(path)), filepath.Base(path))
	}
	// A folder of generated manifests may hold a kustomization as well.
	return slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() != "CustomResourceDefinition"
	}), err
}

func readDir(files fs.FS, dir string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := fs.WalkDir(files, dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		more, err := readFile(files, path)
		objects = append(objects, more...)
		return err
	})
	return objects, err
}

func readFile(files fs.FS, path string) ([]*unstructured.Unstructured, error) {
	content, err := fs.ReadFile(files, path)
	if err != nil {
		return nil, err
	}
	const bufferSize = 4096
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), bufferSize)
	var objects []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}
