// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// state is the end state: objects by kind and name, without what differs from
// trial to trial.
type state map[string]map[string]any

var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// differs says what got is not, or nil.
func (want state) differs(got state) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("the end state differs from that of the undisturbed run (- undisturbed, + this):\n%s", diff)
	}
	return nil
}

// state reads and normalizes the end state. uids tells recreated objects.
func (t *trial) state(ctx context.Context) (s state, uids map[string]string, err error) {
	objects, err := t.scenario.Snapshot(ctx, t.world)
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot: %w", err)
	}
	var all []*unstructured.Unstructured
	for _, object := range objects {
		u, err := untyped(t.world.Admin, object)
		if err != nil {
			return nil, nil, err
		}
		if !fromControlPlane(u) {
			all = append(all, u)
		}
	}
	names := t.world.rename(all)
	identity := map[*unstructured.Unstructured]string{}
	for _, u := range all {
		identity[u] = string(u.GetUID())
		t.normalize(u, names)
	}
	// Objects with generated names are told apart by what is in them.
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(fmt.Sprint(a.Object), fmt.Sprint(b.Object))
	})
	s, uids = state{}, map[string]string{}
	for _, u := range all {
		key := fmt.Sprintf("%s %s/%s", u.GetKind(), u.GetNamespace(), u.GetName())
		for base, i := key, 2; s[key] != nil; i++ {
			key = fmt.Sprintf("%s #%d", base, i)
		}
		s[key], uids[key] = u.Object, identity[u]
	}
	return s, uids, nil
}

func untyped(c client.Client, object client.Object) (*unstructured.Unstructured, error) {
	gvk, err := apiutil.GVKForObject(object, c.Scheme())
	if err != nil {
		return nil, fmt.Errorf("identify %T: %w", object, err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", object, err)
	}
	// A deep copy, as the conversion of an unstructured object shares its fields.
	u := (&unstructured.Unstructured{Object: fields}).DeepCopy()
	u.SetGroupVersionKind(gvk)
	return u, nil
}

// fromControlPlane are objects that appear in every namespace some time later.
func fromControlPlane(u *unstructured.Unstructured) bool {
	return (u.GetKind() == "ConfigMap" && u.GetName() == "kube-root-ca.crt") || (u.GetKind() == "ServiceAccount" && u.GetName() == "default")
}

// rename replaces the namespaces of the trial and the UIDs of objects by names
// that are the same in every trial.
func (w *World) rename(objects []*unstructured.Unstructured) *strings.Replacer {
	var pairs []string
	for i, namespace := range w.Namespaces {
		pairs = append(pairs, namespace, "<namespace "+strconv.Itoa(i+1)+">")
	}
	for _, u := range objects {
		if uid := string(u.GetUID()); uid != "" {
			pairs = append(pairs, uid, fmt.Sprintf("<uid of %s %s>", u.GetKind(), steadyName(u)))
		}
	}
	return strings.NewReplacer(pairs...)
}

func steadyName(u client.Object) string {
	if u.GetGenerateName() != "" {
		return u.GetGenerateName() + "<generated>"
	}
	return u.GetName()
}

func (t *trial) normalize(u *unstructured.Unstructured, names *strings.Replacer) {
	generation := u.GetGeneration()
	owners := t.ownership(u)
	u.SetName(steadyName(u))
	for _, path := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"} {
		unstructured.RemoveNestedField(u.Object, "metadata", path)
	}
	if deletion := u.GetDeletionTimestamp(); deletion != nil {
		_ = unstructured.SetNestedField(u.Object, "<deleting>", "metadata", "deletionTimestamp")
	}
	if status, ok := u.Object["status"]; ok {
		u.Object["status"] = walk("", status, func(key string, value any) any { return steadyStatus(generation, key, value) })
	}
	u.Object = walkMap(u.Object, func(_ string, value any) any {
		if text, ok := value.(string); ok {
			return names.Replace(text)
		}
		return value
	})
	if t.scenario.Normalize != nil {
		t.scenario.Normalize(u)
	}
	if len(owners) > 0 {
		u.Object["field owners"] = owners
	}
}

// ownership lists which of the scenario's field owners own something, and how.
func (t *trial) ownership(u *unstructured.Unstructured) []any {
	var owners []string
	for _, entry := range u.GetManagedFields() {
		if slices.Contains(t.scenario.FieldOwners, entry.Manager) {
			owners = append(owners, strings.TrimSpace(fmt.Sprintf("%s %s %s", entry.Manager, entry.Operation, entry.Subresource)))
		}
	}
	slices.Sort(owners)
	var all []any
	for _, owner := range slices.Compact(owners) {
		all = append(all, owner)
	}
	return all
}

// steadyStatus hides times, and says of an observed generation how old it is.
func steadyStatus(generation int64, key string, value any) any {
	switch v := value.(type) {
	case string:
		if timestamp.MatchString(v) {
			return "<time>"
		}
	case int64:
		if key == "observedGeneration" && v > 0 {
			return fmt.Sprintf("<%d behind>", generation-v)
		}
	}
	return value
}

// walk rebuilds a JSON value with its leaves and map keys edited.
func walk(key string, value any, edit func(string, any) any) any {
	switch v := value.(type) {
	case map[string]any:
		return walkMap(v, edit)
	case []any:
		edited := make([]any, len(v))
		for i, item := range v {
			edited[i] = walk(key, item, edit)
		}
		return edited
	default:
		return edit(key, value)
	}
}

func walkMap(fields map[string]any, edit func(string, any) any) map[string]any {
	edited := make(map[string]any, len(fields))
	for key, item := range fields {
		name := key
		if text, ok := edit("", key).(string); ok {
			name = text
		}
		edited[name] = walk(key, item, edit)
	}
	return edited
}
