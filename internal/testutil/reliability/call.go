// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Verb is what a call does, in the words of RBAC, with apply told from patch.
type Verb string

// The verbs of controller-runtime's client, watch apart.
const (
	VerbGet              Verb = "get"
	VerbList             Verb = "list"
	VerbCreate           Verb = "create"
	VerbUpdate           Verb = "update"
	VerbPatch            Verb = "patch"
	VerbApply            Verb = "apply"
	VerbDelete           Verb = "delete"
	VerbDeleteCollection Verb = "deletecollection"
)

// reads reports whether the verb changes nothing.
func (v Verb) reads() bool { return v == VerbGet || v == VerbList }

// shape says what kind of call it is; faults are tried for each.
type shape struct {
	Verb        Verb
	Kind        schema.GroupKind
	Subresource string
	DryRun      bool
}

// String is such as apply-NetworkPolicy or update-LabWorkload.status.
func (s shape) String() string {
	name := fmt.Sprintf("%s-%s", s.Verb, s.Kind.Kind)
	if s.Subresource != "" {
		name += "." + s.Subresource
	}
	if s.DryRun {
		name = "dryrun-" + name
	}
	return name
}

// Call is one call of a reconciler to the API.
type Call struct {
	Verb        Verb
	Kind        schema.GroupVersionKind
	Subresource string
	// Key is empty for a list.
	Key    client.ObjectKey
	DryRun bool
	// Phase is that of World.
	Phase int
	// Write numbers the writes of a trial from 1. It is 0 for reads and dry runs.
	Write int
}

func (c Call) shape() shape {
	return shape{Verb: c.Verb, Kind: c.Kind.GroupKind(), Subresource: c.Subresource, DryRun: c.DryRun}
}

// String is such as apply-NetworkPolicy "lis".
func (c Call) String() string { return fmt.Sprintf("%s %q", c.shape(), c.Key.Name) }

// resource guesses the plural for error messages.
func (c Call) resource() schema.GroupResource {
	plural, _ := meta.UnsafeGuessKindToResource(c.Kind)
	return plural.GroupResource()
}

// identify reads who an apply configuration is about, typed or unstructured.
func identify(configuration runtime.ApplyConfiguration) (schema.GroupVersionKind, client.ObjectKey, error) {
	data, err := json.Marshal(configuration)
	if err != nil {
		return schema.GroupVersionKind{}, client.ObjectKey{}, fmt.Errorf("encode %T: %w", configuration, err)
	}
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(data, &object); err != nil {
		return schema.GroupVersionKind{}, client.ObjectKey{}, fmt.Errorf("decode %T: %w", configuration, err)
	}
	return object.GroupVersionKind(), client.ObjectKey{Namespace: object.Namespace, Name: object.Name}, nil
}

// copyConfiguration is for calls whose answer the caller must not see.
func copyConfiguration(configuration runtime.ApplyConfiguration) (runtime.ApplyConfiguration, error) {
	data, err := json.Marshal(configuration)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", configuration, err)
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &object.Object); err != nil {
		return nil, fmt.Errorf("decode %T: %w", configuration, err)
	}
	return client.ApplyConfigurationFromUnstructured(object), nil
}
