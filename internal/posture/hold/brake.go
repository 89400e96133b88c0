// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"reflect"
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// partition is the partition of a StatefulSet that no ordinal reaches. The number of replicas would not do: scaling up would start the held image.
const partition int64 = 2147483647

// brake is how an object is held: a field of the spec, and the value that holds.
type brake struct {
	path []string
	// value holds; nil: the list at path gets labguard's scheduling gate.
	value any
}

var (
	paused         = brake{path: []string{"paused"}, value: true}
	suspended      = brake{path: []string{"suspend"}, value: true}
	partitioned    = brake{path: []string{"updateStrategy", "rollingUpdate", "partition"}, value: partition}
	gated          = brake{path: []string{"schedulingGates"}}
	gatedTemplates = brake{path: []string{"template", "spec", "schedulingGates"}}
)

// brakes are those of each kind; where there are two, the marker says which one it was.
var brakes = map[string][]brake{
	"Deployment":  {paused},
	"Job":         {suspended},
	"CronJob":     {suspended},
	"StatefulSet": {partitioned, gatedTemplates},
	"DaemonSet":   {gatedTemplates},
	"Pod":         {gated},
}

// inUse is the brake that the marker of an object speaks of.
func (o *Object) inUse() (brake, bool) {
	patch := o.earlier()
	if patch == nil {
		return brake{}, false
	}
	for _, one := range brakes[o.kind] {
		if _, found := at(patch, one.path); found {
			return one, true
		}
	}
	return brake{}, false
}

// holds says whether the brake is on.
func (b brake) holds(o *Object) bool {
	if b.value == nil {
		return slices.ContainsFunc(gatesOf(o.get(b.path)), isOurGate)
	}
	return reflect.DeepEqual(o.get(b.path), b.value)
}

// pull puts the brake on and gives what it has replaced, nil for nothing. Where it is pulled again (kept is what the first time has replaced) a value that holds
// is labguard's own, as every patch of the object carries it along.
func (b brake) pull(o *Object, again bool, kept any) (replaced any) {
	incoming := o.get(b.path)
	if b.value == nil {
		rest := slices.DeleteFunc(slices.Clone(gatesOf(incoming)), isOurGate)
		o.set(b.path, append(slices.Clone(rest), map[string]any{"name": v1alpha1.SchedulingGate}))
		return orNothing(rest)
	}
	if again && b.holds(o) {
		return kept
	}
	o.set(b.path, b.value)
	return incoming
}

// loosen gives back what the brake has replaced, unless somebody has taken it off already.
func (b brake) loosen(o *Object, kept any) {
	switch {
	case !b.holds(o):
	case b.value == nil:
		o.set(b.path, orNothing(slices.DeleteFunc(slices.Clone(gatesOf(o.get(b.path))), isOurGate)))
	default:
		o.set(b.path, kept)
	}
}

func gatesOf(value any) []any {
	gates, _ := value.([]any)
	return gates
}

func isOurGate(gate any) bool {
	fields, _ := gate.(map[string]any)
	return fields["name"] == v1alpha1.SchedulingGate
}

func orNothing(gates []any) any {
	if len(gates) == 0 {
		return nil
	}
	return gates
}

// at is the value at a path of a merge patch; found says whether the patch speaks of it, be it with null.
func at(patch map[string]any, path []string) (value any, found bool) {
	for _, key := range path[:len(path)-1] {
		next, isMap := patch[key].(map[string]any)
		if !isMap {
			return nil, false
		}
		patch = next
	}
	value, found = patch[path[len(path)-1]]
	return value, found
}

// patchOf is the merge patch that sets the value at a path.
func patchOf(path []string, value any) map[string]any {
	for _, key := range slices.Backward(path) {
		value = map[string]any{key: value}
	}
	patch, _ := value.(map[string]any)
	return patch
}
