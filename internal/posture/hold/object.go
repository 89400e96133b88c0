// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Object is one object as JSON. Nil is an object that does not exist.
type Object struct {
	kind   string
	fields map[string]any
}

// Read decodes an object of a kind.
func Read(kind string, raw []byte) (*Object, error) {
	object := &Object{kind: kind}
	if err := json.Unmarshal(raw, &object.fields); err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	if object.fields == nil {
		return nil, fmt.Errorf("read %s: it is no object", kind)
	}
	return object, nil
}

// Of takes an object that is decoded already. It is changed in place.
func Of(object *unstructured.Unstructured) *Object {
	return &Object{kind: object.GetKind(), fields: object.Object}
}

// JSON is the object as it is now.
func (o *Object) JSON() ([]byte, error) {
	raw, err := json.Marshal(o.fields)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.kind, err)
	}
	return raw, nil
}

// Marked says whether annotations carry the marker of a hold, a JSON object. The nonce of a canary is none.
func Marked(annotations map[string]string) bool {
	return strings.HasPrefix(annotations[v1alpha1.HoldAnnotation], "{")
}

// Marked says whether the object carries the marker of a hold.
func (o *Object) Marked() bool {
	return o != nil && Marked(o.annotations())
}

func (o *Object) annotations() map[string]string {
	annotations, _, err := unstructured.NestedStringMap(o.fields, "metadata", "annotations")
	if err != nil {
		return nil // the API server does not let another type through
	}
	return annotations
}

// earlier is the merge patch in the marker; nil if there is none, or none that can be read.
func (o *Object) earlier() map[string]any {
	if !o.Marked() {
		return nil
	}
	var patch map[string]any
	if err := json.Unmarshal([]byte(o.annotations()[v1alpha1.HoldAnnotation]), &patch); err != nil {
		return nil
	}
	return patch
}

// get is the value at a path below spec; nil if it is absent.
func (o *Object) get(path []string) any {
	value, _, err := unstructured.NestedFieldNoCopy(o.fields, append([]string{"spec"}, path...)...)
	if err != nil {
		return nil
	}
	return value
}

// set writes the value at a path below spec; nil takes the field off.
func (o *Object) set(path []string, value any) {
	path = append([]string{"spec"}, path...)
	if value == nil {
		unstructured.RemoveNestedField(o.fields, path...)
		return
	}
	parent := o.fields
	for _, key := range path[:len(path)-1] {
		next, isMap := parent[key].(map[string]any)
		if !isMap {
			next = map[string]any{}
			parent[key] = next
		}
		parent = next
	}
	parent[path[len(path)-1]] = value
}

// mark writes the marker.
func (o *Object) mark(patch map[string]any) error {
	encoded, err := json.Marshal(patch)
	if err != nil {
		return fmt.Errorf("encode what a hold of %s has replaced: %w", o.kind, err)
	}
	return o.annotate(v1alpha1.HoldAnnotation, string(encoded))
}

// Annotate writes annotations beside those that the object has.
func (o *Object) Annotate(annotations map[string]string) error {
	for key, value := range annotations {
		if err := o.annotate(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (o *Object) annotate(key, value string) error {
	if err := unstructured.SetNestedField(o.fields, value, "metadata", "annotations", key); err != nil {
		return fmt.Errorf("annotate %s: %w", o.kind, err)
	}
	return nil
}

func (o *Object) text(path ...string) string {
	text, _, err := unstructured.NestedString(o.fields, path...)
	if err != nil {
		return ""
	}
	return text
}

func (o *Object) number(path ...string) int64 {
	number, _, err := unstructured.NestedInt64(o.fields, path...)
	if err != nil {
		return 0
	}
	return number
}
