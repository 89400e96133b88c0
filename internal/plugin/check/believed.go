// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// onlyByLabguard are the kinds that nobody but labguard writes, and what is said of one among manifests. Who proposes a change may write its manifests: if
// these were believed there, a change could bring the evidence that lets it in.
var onlyByLabguard = map[string]string{
	"RolloutRecord":  "only labguard writes these, so that they do not count among the manifests: give them with --facts",
	"ImageRecord":    "only labguard writes these, so that they do not count among the manifests: give them with --facts",
	"AirlockProfile": "only labguard writes these, and they decide nothing here",
	"BreakGlassUse":  "only labguard writes these, and they decide nothing here",
}

// DeclareFacts takes what is known beside the manifests, from somebody else than who proposes them: records count, and the status of LabWorkloads.
func (w *World) DeclareFacts(parsed *Parsed) { w.declareAll(parsed, true) }

// disbelieve says of objects which of them do not count: once for each file and kind, at the first, as there may be thousands in one.
func (w *World) disbelieve(parsed *Parsed, objects []*Object) {
	type key struct{ file, kind string }
	var order []key
	found := map[key][]*Object{}
	for _, object := range objects {
		at := key{object.in.file, object.Kind}
		if found[at] == nil {
			order = append(order, at)
		}
		found[at] = append(found[at], object)
	}
	for _, at := range order {
		all := found[at]
		parsed.skip(all[0].Place(), plural(len(all), at.kind, at.kind+"s")+": "+onlyByLabguard[at.kind])
		w.disbelieved = w.disbelieved || at.kind == "RolloutRecord" || at.kind == "ImageRecord"
	}
}

// inForce is the spec of a LabWorkload as the cluster, or the facts, have it.
type inForce struct {
	spec v1alpha1.LabWorkloadSpec
	// object is where it was read from; nil: a cluster has given it, with all defaults.
	object *Object
}

// isInForce remembers how a LabWorkload is before the manifests are applied.
func (w *World) isInForce(one *v1alpha1.LabWorkload, object *Object) {
	if w.before == nil {
		w.before = map[string]inForce{}
	}
	w.before[one.Namespace+"/"+one.Name] = inForce{one.Spec, object}
}

// propose takes a LabWorkload of the manifests. Its status stays what it was, as it does when somebody applies it.
func (w *World) propose(one v1alpha1.LabWorkload, object *Object) {
	one.Status = v1alpha1.LabWorkloadStatus{}
	for _, known := range w.space(one.Namespace).Workloads {
		if known.Name == one.Name {
			one.Status = known.Status
		}
	}
	w.workload(one)
	key := one.Namespace + "/" + one.Name
	delete(w.changed, key)
	was, found := w.before[key]
	if !found {
		return
	}
	if fields := w.differences(was, &one.Spec); len(fields) > 0 {
		if w.changed == nil {
			w.changed = map[string]Remark{}
		}
		w.changed[key] = Remark{object.Place(), fmt.Sprintf("LabWorkload %s is not as the cluster or --facts have it, in %s, and counts as it is here: who reviews this decides what is enforced",
			key, posture.List(fields))}
	}
}

// differences are the fields of a spec that are not as they were. Facts are completed with defaults first, as the cluster has them.
func (w *World) differences(was inForce, now *v1alpha1.LabWorkloadSpec) []string {
	if was.object != nil && w.Invalid != nil {
		completed, _ := w.Invalid(was.object)
		var whole v1alpha1.LabWorkload
		if json.Unmarshal(completed, &whole) == nil {
			was.spec = whole.Spec
		}
	}
	before, after := fieldsOf(&was.spec), fieldsOf(now)
	all := maps.Clone(before)
	maps.Copy(all, after)
	var different []string
	for _, field := range slices.Sorted(maps.Keys(all)) {
		if !reflect.DeepEqual(before[field], after[field]) {
			different = append(different, field)
		}
	}
	return different
}

func fieldsOf(spec *v1alpha1.LabWorkloadSpec) map[string]any {
	fields := map[string]any{}
	if raw, err := json.Marshal(spec); err == nil {
		_ = json.Unmarshal(raw, &fields) // it was a struct a moment ago
	}
	return fields
}

// Changed are the LabWorkloads of the manifests that are not as they are in force.
func (w *World) Changed() []Remark {
	changed := []Remark{}
	for _, key := range slices.Sorted(maps.Keys(w.changed)) {
		changed = append(changed, w.changed[key])
	}
	return changed
}

// distrust is what has to be said of manifests that bring what decides about them.
func (w *World) distrust() []string {
	var all []string
	if w.disbelieved {
		all = append(all, "RolloutRecords and ImageRecords among the manifests do not count: only labguard writes these; give them with --facts")
	}
	for _, one := range w.Changed() {
		all = append(all, one.Place.String()+": "+one.Text)
	}
	return all
}
