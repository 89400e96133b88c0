// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/labguard/labguard/api/v1alpha1"
)

// hooks are annotations of tools that wait for the object and would wait for their whole time-out.
var hooks = []string{"helm.sh/hook", "argocd.argoproj.io/hook"}

// Cannot says why a write cannot be kept from rolling out; empty if it can. old is nil for a CREATE.
func Cannot(old, object *Object) string {
	_, problem := choose(old, object)
	return problem
}

// Kinds that are only held when they are created say this when they are changed.
const (
	cronJobInService   = "the CronJob is in service, and holding it would stop the runs of what it has"
	daemonSetInService = "a DaemonSet in service has no way to be held"
	started            = "what has been started cannot be held"
)

// choose picks the brake for a write. One that is on stays the one.
func choose(old, object *Object) (brake, string) {
	for _, marked := range []*Object{object, old} {
		if found, known := marked.inUse(); known {
			return found, object.defeats()
		}
	}
	for _, hook := range hooks {
		if _, found := object.annotations()[hook]; found {
			return nil, "it is a hook (" + hook + "), and the tool that sent it would wait for its time-out"
		}
	}
	creates := old == nil
	switch object.kind {
	case "Deployment":
		return paused, ""
	case "Job":
		return suspended, unless(creates, started)
	case "CronJob":
		return suspended, unless(creates, cronJobInService)
	case "DaemonSet":
		return gatedTemplates, unless(creates, daemonSetInService)
	case "StatefulSet":
		return statefulSet(old, object)
	case "Pod":
		return gated, pod(creates, object)
	default:
		return nil, fmt.Sprintf("there is no way to hold a %s", object.kind)
	}
}

func unless(fine bool, problem string) string {
	if fine {
		return ""
	}
	return problem
}

// defeats says how an object that is held gets around the brake by another field.
func (o *Object) defeats() string {
	if o.kind == "StatefulSet" && o.onDelete() {
		return onDelete
	}
	return ""
}

const onDelete = "with updateStrategy OnDelete the next pod that is deleted comes back with the held image"

func (o *Object) onDelete() bool { return o.text("spec", "updateStrategy", "type") == "OnDelete" }

// statefulSet is held by its partition if every pod has the revision that it would come back with: else a pod that is deleted meanwhile
// would go back to an earlier one.
func statefulSet(old, object *Object) (brake, string) {
	switch {
	case object.onDelete():
		return nil, onDelete
	case old == nil:
		return partitioned, ""
	case old.number("status", "observedGeneration") != old.number("metadata", "generation"),
		old.text("status", "currentRevision") != old.text("status", "updateRevision"):
		return nil, "an earlier rollout of the StatefulSet has not finished; try again then"
	default:
		return partitioned, ""
	}
}

// pod is held before it has a node, and only then: the API server refuses a gate beside a node name.
func pod(creates bool, object *Object) string {
	_, mirror := object.annotations()[corev1.MirrorPodAnnotationKey]
	switch {
	case !creates:
		return started
	case mirror:
		return "it is the mirror of a static pod"
	case object.text("spec", "nodeName") != "":
		return "it names its node itself (nodeName), and no gate stands before that"
	default:
		return ""
	}
}

// Put holds an object: it puts the brake on and writes the marker. What a write brings for the field of the brake is what is given back later, unless it is
// labguard's own value. It fails where Cannot says why.
func Put(old, object *Object) error {
	chosen, problem := choose(old, object)
	if problem != "" {
		return fmt.Errorf("hold a %s: %s", object.kind, problem)
	}
	patch := map[string]any{}
	for _, one := range chosen {
		kept, again := object.kept(old, one)
		put(patch, one.path, one.pull(object, again, kept))
	}
	return object.mark(patch)
}

// kept is what an earlier pull of the brake has replaced, by the marker of the new object, which nobody but labguard writes, or of the old one.
func (o *Object) kept(old *Object, of field) (value any, found bool) {
	for _, marked := range []*Object{o, old} {
		if value, found := at(marked.earlier(), of.path); found {
			return value, true
		}
	}
	return nil, false
}

// Held says whether the object carries the marker and its brake is on.
func (o *Object) Held() bool {
	found, known := o.inUse()
	return known && found.holds(o)
}

// Release gives back what holding the old object has replaced, in the write that takes its marker off.
func Release(old, object *Object) {
	found, known := old.inUse()
	if !known {
		return
	}
	for _, one := range found {
		kept, _ := at(old.earlier(), one.path)
		one.loosen(object, kept)
	}
	unstructured.RemoveNestedField(object.fields, "metadata", "annotations", v1alpha1.HoldAnnotation)
}

// GivenBack says whether an object, as an answer to the write that took the marker off the old one, has been given back what its hold had replaced. A
// value that was the holding one before counts as given back.
func GivenBack(old, object *Object) bool {
	found, known := old.inUse()
	if !known {
		return true
	}
	return !object.Marked() && !slices.ContainsFunc(found, func(one field) bool {
		kept, _ := at(old.earlier(), one.path)
		return one.holds(object) && (one.value == nil || kept != one.value)
	})
}

// Gated says whether scheduling gates have labguard's.
func Gated(gates []corev1.PodSchedulingGate) bool {
	return slices.ContainsFunc(gates, func(gate corev1.PodSchedulingGate) bool { return gate.Name == v1alpha1.SchedulingGate })
}

// Undo is the merge patch of the whole object that takes the marker off and gives back what it stands for, for where no webhook listens. The caller adds
// the resourceVersion of the object that was read, so that it undoes what was seen and nothing else. A pod that has labguard's gate and no marker, as
// somebody wrote it that way, loses the gate.
func Undo(object *Object) map[string]any {
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.HoldAnnotation: nil}}}
	spec, earlier := map[string]any{}, object.earlier()
	found, known := object.inUse()
	for _, one := range found {
		if one.holds(object) {
			value, _ := at(earlier, one.path)
			put(spec, one.path, value)
		}
	}
	if own := gated[0]; !known && object.kind == "Pod" && own.holds(object) {
		put(spec, own.path, orNothing(slices.DeleteFunc(slices.Clone(gatesOf(object.get(own.path))), isOurGate)))
	}
	if len(spec) > 0 {
		patch["spec"] = spec
	}
	return patch
}
