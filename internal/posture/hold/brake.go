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

// brake is how an object is held: one field of the spec or several, all of them at once.
type brake []field

// field is one field of a brake, and the value that holds.
type field struct {
	path []string
	// value holds; nil: the list at path gets labguard's scheduling gate.
	value any
}

var (
	paused    = brake{{path: []string{"paused"}, value: true}}
	suspended = brake{{path: []string{"suspend"}, value: true}}
	gated     = brake{{path: []string{"schedulingGates"}}}
	// gatedTemplates holds pods that are made from the template.
	gatedTemplates = brake{{path: []string{"template", "spec", "schedulingGates"}}}
	// partitioned keeps the pods of a StatefulSet at their revision, and holds those that would be made with the new one all the same: a StatefulSet
	// that is scaled to nothing takes its newest revision for the current one, whatever its partition.
	partitioned = brake{{path: []string{"updateStrategy", "rollingUpdate", "partition"}, value: partition}, gatedTemplates[0]}
)

// brakes are those of each kind.
var brakes = map[string]brake{
	"Deployment": paused, "Job": suspended, "CronJob": suspended, "StatefulSet": partitioned, "DaemonSet": gatedTemplates, "Pod": gated,
}

// inUse is the brake that the marker of an object speaks of.
func (o *Object) inUse() (brake, bool) {
	patch := o.earlier()
	if patch == nil {
		return nil, false
	}
	chosen := brakes[o.kind]
	for _, one := range chosen {
		if _, found := at(patch, one.path); !found {
			return nil, false
		}
	}
	return chosen, len(chosen) > 0
}

// holds says whether the brake is on, all of it.
func (b brake) holds(o *Object) bool {
	return !slices.ContainsFunc(b, func(one field) bool { return !one.holds(o) })
}

func (f field) holds(o *Object) bool {
	if f.value == nil {
		return slices.ContainsFunc(gatesOf(o.get(f.path)), isOurGate)
	}
	return reflect.DeepEqual(o.get(f.path), f.value)
}

// pull puts the field on and gives what it has replaced, nil for nothing. Where it is pulled again (kept is what the first time has replaced) a value that holds
// is labguard's own, as every patch of the object carries it along.
func (f field) pull(o *Object, again bool, kept any) (replaced any) {
	incoming := o.get(f.path)
	if f.value == nil {
		rest := slices.DeleteFunc(slices.Clone(gatesOf(incoming)), isOurGate)
		o.set(f.path, append(slices.Clone(rest), map[string]any{"name": v1alpha1.SchedulingGate}))
		return orNothing(rest)
	}
	if again && f.holds(o) {
		return kept
	}
	o.set(f.path, f.value)
	return incoming
}

// loosen gives back what it has replaced, unless somebody has taken it off already.
func (f field) loosen(o *Object, kept any) {
	switch {
	case !f.holds(o):
	case f.value == nil:
		o.set(f.path, orNothing(slices.DeleteFunc(slices.Clone(gatesOf(o.get(f.path))), isOurGate)))
	default:
		o.set(f.path, kept)
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

// put sets the value at a path of a merge patch.
func put(patch map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		next, isMap := patch[key].(map[string]any)
		if !isMap {
			next = map[string]any{}
			patch[key] = next
		}
		patch = next
	}
	patch[path[len(path)-1]] = value
}
