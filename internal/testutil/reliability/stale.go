// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// snapshot is how the objects of a trial looked at one moment, by kind.
type snapshot map[schema.GroupVersionKind][]*unstructured.Unstructured

// look takes a snapshot. Kinds that are not served have no entry.
func look(ctx context.Context, w *World, kinds []schema.GroupVersionKind) (snapshot, error) {
	s := snapshot{}
	for _, kind := range kinds {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		objects, err := listAll(ctx, w, list)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", kind.Kind, err)
		}
		s[kind] = []*unstructured.Unstructured{}
		for _, object := range objects {
			u, err := untyped(w.Admin, object)
			if err != nil {
				return nil, err
			}
			s[kind] = append(s[kind], u)
		}
	}
	return s, nil
}

// view answers reads out of a snapshot, and from the API where the snapshot
// does not reach: other kinds and other namespaces.
type view struct {
	world   *World
	objects snapshot
}

func (v *view) get(ctx context.Context, c client.Client, kind schema.GroupVersionKind, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	objects, known := v.objects[kind]
	if !known || (key.Namespace != "" && !v.world.owns(key.Namespace)) {
		return c.Get(ctx, key, obj, opts...)
	}
	for _, object := range objects {
		if client.ObjectKeyFromObject(object) == key {
			return convert(object, obj)
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: strings.ToLower(kind.Kind) + "s"}, key.Name)
}

func (v *view) list(ctx context.Context, c client.Client, kind schema.GroupVersionKind, list client.ObjectList, opts ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(opts)
	objects, known := v.objects[kind]
	elsewhere := options.Namespace != "" && !v.world.owns(options.Namespace)
	if !known || elsewhere || !supported(options.FieldSelector) {
		return c.List(ctx, list, opts...)
	}
	items := []any{}
	for _, object := range objects {
		if selected(object, options) {
			items = append(items, object.Object)
		}
	}
	others, err := v.others(ctx, c, kind, options, opts)
	if err != nil {
		return err
	}
	all := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind + "List",
		"metadata": map[string]any{"resourceVersion": "1"}, "items": append(items, others...),
	}}
	return convert(all, list)
}

// others are the objects of foreign namespaces that a list over all namespaces has.
func (v *view) others(ctx context.Context, c client.Client, kind schema.GroupVersionKind, options *client.ListOptions, opts []client.ListOption) ([]any, error) {
	if options.Namespace != "" {
		return nil, nil
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if namespaced, err := c.IsObjectNamespaced(list); err != nil || !namespaced {
		return nil, err
	}
	if err := c.List(ctx, list, opts...); err != nil {
		return nil, err
	}
	var others []any
	for _, item := range list.Items {
		if !v.world.owns(item.GetNamespace()) {
			others = append(others, item.Object)
		}
	}
	return others, nil
}

// supported says whether a field selector can be evaluated on any kind.
func supported(selector fields.Selector) bool {
	if selector == nil {
		return true
	}
	for _, requirement := range selector.Requirements() {
		if requirement.Field != metav1.ObjectNameField && requirement.Field != "metadata.namespace" {
			return false
		}
	}
	return true
}

func selected(u *unstructured.Unstructured, options *client.ListOptions) bool {
	if options.Namespace != "" && u.GetNamespace() != options.Namespace {
		return false
	}
	if options.LabelSelector != nil && !options.LabelSelector.Matches(labels.Set(u.GetLabels())) {
		return false
	}
	set := fields.Set{metav1.ObjectNameField: u.GetName(), "metadata.namespace": u.GetNamespace()}
	return options.FieldSelector == nil || options.FieldSelector.Matches(set)
}

// convert fills target, which may be typed, untyped or metadata only.
func convert(u *unstructured.Unstructured, target any) error {
	data, err := json.Marshal(u.Object)
	if err != nil {
		return fmt.Errorf("encode %s: %w", u.GetKind(), err)
	}
	reflect.ValueOf(target).Elem().SetZero()
	if err := json.Unmarshal(data, target); err != nil {
		return fmt.Errorf("decode %s: %w", u.GetKind(), err)
	}
	return nil
}

func itemKind(kind schema.GroupVersionKind) schema.GroupVersionKind {
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	return kind
}
