// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

// NotOursError says that an object with the name of a child exists and belongs to somebody else.
type NotOursError struct {
	// Object is the kind and name of the object.
	Object string
}

// Error names the object and the way out.
func (e *NotOursError) Error() string {
	return fmt.Sprintf("%s exists and is not labguard's: rename or delete it", e.Object)
}

// Child writes the intent of one child if what labguard owns of the live object differs from it, and removes what others have added. live is the object as last read, or
// nil; owned is what labguard's field manager owns of it (the Extract functions of the apply configurations), or nil. kind is the word for the
// error. It returns whether it wrote, and a *NotOursError if live is controlled by another object than owner.
func Child(ctx context.Context, c client.Client, owner client.Object, kind string, live client.Object, owned, desired runtime.ApplyConfiguration) (bool, error) {
	if live != nil {
		if !metav1.IsControlledBy(live, owner) {
			return false, &NotOursError{Object: kind + " " + live.GetName()}
		}
		expelled, err := Expel(ctx, c, live, desired)
		if err != nil || expelled {
			return expelled, err // the object is another now; the event of that write leads here again
		}
		same, err := Same(owned, desired)
		if err != nil || same {
			return false, err
		}
		return true, Onto(ctx, c, kind, live, desired)
	}
	// Only what is known to be ours is taken by force: where the cache lags, an object of somebody else may be there.
	if err := c.Apply(ctx, desired, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return false, fmt.Errorf("apply %s: %w", kind, err)
	}
	return true, nil
}

// Onto writes an intent onto an object of ours as it was read, by force against other field managers, and with its resource version: a process whose
// cache lags behind what labguard wrote before gets a conflict, and takes nothing back.
func Onto(ctx context.Context, c client.Client, kind string, live client.Object, desired runtime.ApplyConfiguration) error {
	intent, err := fields(desired)
	if err != nil {
		return err
	}
	object := &unstructured.Unstructured{Object: intent}
	object.SetResourceVersion(live.GetResourceVersion())
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(v1alpha1.FieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, live.GetName(), err)
	}
	return nil
}

// Same says whether two apply configurations carry the same fields with the same values.
func Same(a, b runtime.ApplyConfiguration) (bool, error) {
	first, err := fields(a)
	if err != nil {
		return false, err
	}
	second, err := fields(b)
	if err != nil {
		return false, err
	}
	return reflect.DeepEqual(first, second), nil
}

func fields(configuration runtime.ApplyConfiguration) (map[string]any, error) {
	encoded, err := json.Marshal(configuration)
	if err != nil {
		return nil, fmt.Errorf("encode an apply configuration: %w", err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return nil, fmt.Errorf("decode an apply configuration: %w", err)
	}
	return decoded, nil
}

// Delete removes a child as it was read: another object of the same name, or one that has changed since, is left alone until the next look.
// A child that is gone already, or that owner does not control, is no error.
func Delete(ctx context.Context, c client.Client, owner, live client.Object) error {
	if !metav1.IsControlledBy(live, owner) || live.GetDeletionTimestamp() != nil {
		return nil
	}
	uid, version := live.GetUID(), live.GetResourceVersion()
	err := c.Delete(ctx, live, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", live.GetName(), err)
	}
	return nil
}
