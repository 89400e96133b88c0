// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// quietFor is how long nothing may be written for what is going on to be over.
const quietFor = 4 * time.Second

// ofLabguard selects what labguard has written for the whole cluster.
const ofLabguard = "app.kubernetes.io/managed-by=labguard"

// versions are the resource versions of everything there is in the namespace of a repository, of whatever kind, and, where the test is alone, of everything of
// labguard's that is in no namespace. Whoever writes anything changes one. Events are what is said about objects, leases what processes say of themselves.
func (r *repository) versions() map[string]string {
	r.Helper()
	config := cluster.Config()
	config.WarningHandlerWithContext = rest.NoWarnings{} // of kinds that are deprecated
	lists, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerPreferredResources()
	if err != nil {
		r.Fatal(err)
	}
	objects, found := dynamic.NewForConfigOrDie(config), map[string]string{}
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			r.Fatal(err)
		}
		for i := range list.APIResources {
			kind := list.APIResources[i]
			if !slices.Contains(kind.Verbs, "list") || kind.Name == "events" || kind.Name == "leases" || !kind.Namespaced && !r.alone {
				continue
			}
			namespace, options := r.namespace, metav1.ListOptions{}
			if !kind.Namespaced {
				namespace, options = "", metav1.ListOptions{LabelSelector: ofLabguard}
			}
			there, err := objects.Resource(group.WithResource(kind.Name)).Namespace(namespace).List(r.Context(), options)
			if err != nil {
				r.Fatalf("list %s: %v", kind.Name, err)
			}
			for j := range there.Items {
				found[kind.Kind+" "+there.Items[j].GetName()] = there.Items[j].GetResourceVersion()
			}
		}
	}
	return found
}

// quiet waits until nothing of it changes any more, and returns it.
func (r *repository) quiet() map[string]string {
	r.Helper()
	seen, at := r.versions(), time.Now()
	operator.Eventually(r, "everything rests", func() error {
		now := r.versions()
		if changed := differences(seen, now); len(changed) > 0 {
			seen, at = now, time.Now()
			return fmt.Errorf("changed: %v", changed)
		}
		if time.Since(at) < quietFor {
			return errors.New("not for long yet")
		}
		return nil
	})
	return seen
}

// differences are the objects that were written between two looks.
func differences(before, after map[string]string) []string {
	changed := map[string]bool{}
	for name, version := range before {
		changed[name] = after[name] != version
	}
	for name, version := range after {
		changed[name] = before[name] != version
	}
	maps.DeleteFunc(changed, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(changed))
}

// writesOfLabguard are its requests that wrote something, by the audit log. Dry runs of the canary write nothing; reviews are questions.
func writesOfLabguard(t testing.TB) []string {
	t.Helper()
	file, err := os.Open(cluster.AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var found []string
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return found // the end, or a line that is being written
		}
		var event struct {
			Verb, RequestURI string
			ObjectRef        struct{ Resource, Namespace, Name, Subresource string }
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("read the audit log: %v", err)
		}
		passing := []string{"leases", "events", "tokenreviews", "subjectaccessreviews"}
		if !strings.Contains(event.RequestURI, "dryRun=All") && !slices.Contains(passing, event.ObjectRef.Resource) {
			found = append(found, fmt.Sprintf("%s %+v", event.Verb, event.ObjectRef))
		}
	}
}

// get reads one object of the namespace.
func (r *repository) get(apiVersion, kind, name string) *unstructured.Unstructured {
	r.Helper()
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	object.SetNamespace(r.namespace)
	object.SetName(name)
	if err := r.Get(context.WithoutCancel(r.Context()), keyOf(object), object); err != nil {
		r.Fatalf("get %s %s: %v", kind, name, err)
	}
	return object
}

// owners are the field managers that own a field of an object: path is like spec.template.spec.
func owners(object *unstructured.Unstructured, path ...string) []string {
	var found []string
	for _, entry := range object.GetManagedFields() {
		var fields map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return []string{err.Error()}
		}
		keys := make([]string, len(path))
		for i, name := range path {
			keys[i] = "f:" + name
		}
		if _, has, err := unstructured.NestedFieldNoCopy(fields, keys...); has && err == nil && entry.Subresource == "" {
			found = append(found, entry.Manager)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
