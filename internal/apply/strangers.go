// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

// operation is one operation of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value,omitempty"`
}

// Expel removes what others have added to the spec of an object of labguard's that the intent does not have. Server-side apply leaves fields of
// others alone: without this, whoever may edit a NetworkPolicy could add a direction to it that labguard does not speak of. It returns
// whether it wrote. Fields that the API server has filled in belong to nobody and stay.
func Expel(ctx context.Context, c client.Client, live client.Object, desired runtime.ApplyConfiguration) (bool, error) {
	intent, err := fields(desired)
	if err != nil {
		return false, err
	}
	paths, err := strangers(live, intent)
	if err != nil || len(paths) == 0 {
		return false, err
	}
	operations := []operation{{Op: "test", Path: "/metadata/resourceVersion", Value: live.GetResourceVersion()}}
	for _, path := range paths {
		operations = append(operations, operation{Op: "remove", Path: path})
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return false, fmt.Errorf("encode a patch: %w", err)
	}
	target, isObject := live.DeepCopyObject().(client.Object)
	if !isObject {
		return false, fmt.Errorf("%T is no object", live)
	}
	err = c.Patch(ctx, target, client.RawPatch(types.JSONPatchType, patch), client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsInvalid(err) {
		// The object has changed since it was read: the test of the patch failed.
		return false, apierrors.NewConflict(schema.GroupResource{Resource: "children"}, live.GetName(), err)
	}
	if err != nil {
		return false, fmt.Errorf("remove what others have added to %s: %w", live.GetName(), err)
	}
	return true, nil
}

// strangers are the JSON pointers of the fields of the spec that managers other than labguard own and that the intent does not have.
func strangers(live client.Object, intent map[string]any) ([]string, error) {
	var found []string
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == v1alpha1.FieldManager || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		var owned map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &owned); err != nil {
			return nil, fmt.Errorf("read the field managers of %s: %w", live.GetName(), err)
		}
		spec, owns := owned["f:spec"].(map[string]any)
		if owns {
			wanted, _ := intent["spec"].(map[string]any)
			found = added(found, "/spec", spec, wanted)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// added walks a tree of managed fields beside the intent. A list with a foreign item goes as a whole: the intent puts back what it has of it.
func added(found []string, path string, owned, wanted map[string]any) []string {
	for key, below := range owned {
		name, isField := strings.CutPrefix(key, "f:")
		if !isField {
			continue
		}
		pointer := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		value, isWanted := wanted[name]
		if !isWanted {
			found = append(found, pointer)
			continue
		}
		deeper, _ := below.(map[string]any)
		switch nested := value.(type) {
		case map[string]any:
			found = added(found, pointer, deeper, nested)
		case []any:
			if hasForeignItem(deeper, nested) {
				found = append(found, pointer)
			}
		}
	}
	return found
}

// hasForeignItem says whether somebody owns an item of a list with keys that the intent does not have.
func hasForeignItem(owned map[string]any, wanted []any) bool {
	for key := range owned {
		encoded, isItem := strings.CutPrefix(key, "k:")
		var keys map[string]any
		if !isItem || json.Unmarshal([]byte(encoded), &keys) != nil {
			continue
		}
		ours := slices.ContainsFunc(wanted, func(item any) bool {
			fields, isMap := item.(map[string]any)
			for name, value := range keys {
				isMap = isMap && fields[name] == value
			}
			return isMap
		})
		if !ours {
			return true
		}
	}
	return false
}
