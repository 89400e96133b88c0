// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"strings"
)

// podSpec is where the pod spec of a kind is, and how it is read in CEL.
type podSpec struct {
	// images, initImages and volumes give, for "object" or "oldObject", a CEL list that is equal for equal images.
	images, initImages, volumes func(object string) string
	// allImages, allInitImages and allVolumes give CEL that is true if each reference is in the CEL list.
	allImages, allInitImages, allVolumes func(list string) string
	// rollsBack says whether the annotation of the old object counts.
	rollsBack bool
	// alsoChanged is CEL that is true if the write can bring images in another way than by the pod spec; empty if there is none.
	alsoChanged string
}

// changed is CEL that is true if the images of the new object differ from those of the old one.
func (p podSpec) changed() string {
	differences := make([]string, 0, 3)
	for _, list := range []func(string) string{p.images, p.initImages, p.volumes} {
		differences = append(differences, list("object")+" != "+list("oldObject"))
	}
	return strings.Join(differences, "\n      || ")
}

// known is CEL that is true if all images of the new object are in the annotation of the old one.
func (p podSpec) known() string {
	all := []string{p.allImages(admitted), p.allInitImages(admitted), p.allVolumes(admitted)}
	return strings.Join(all, "\n      && ")
}

// typed reads the pod spec at a path of a built-in kind, where the API server has already made sure of the types.
func typed(path string, rollsBack bool) podSpec {
	const entry = ".map(c, [c.name, c.?image.orValue('')])"
	const volume = ".?volumes.orValue([]).filter(v, has(v.image))"
	spec := func(object string) string { return object + "." + path }
	return podSpec{
		images:     func(object string) string { return spec(object) + ".containers" + entry },
		initImages: func(object string) string { return spec(object) + ".?initContainers.orValue([])" + entry },
		volumes: func(object string) string {
			return spec(object) + volume + ".map(v, [v.name, v.image.?reference.orValue('')])"
		},
		allImages: func(list string) string {
			return spec("object") + ".containers.all(c, c.?image.orValue('-') in " + list + ")"
		},
		allInitImages: func(list string) string {
			return spec("object") + ".?initContainers.orValue([]).all(c, c.?image.orValue('-') in " + list + ")"
		},
		allVolumes: func(list string) string {
			return spec("object") + volume + ".all(v, v.image.?reference.orValue('-') in " + list + ")"
		},
		rollsBack: rollsBack,
	}
}

// untyped reads spec.template.spec of a custom resource whose schema may promise nothing. A wrong type must not become an
// evaluation error, which would refuse every UPDATE, that of a label included. CEL has no variable here: a list of one element and
// map() stand for it. A wrong type is compared as it is.
func untyped() podSpec {
	field := func(object, name string) string {
		return "[" + object + ".?spec.orValue({})]" + step("template", "{}") + step("spec", "{}") + step(name, "[]")
	}
	list := func(name, entries string) func(string) string {
		return func(object string) string {
			return field(object, name) + ".map(x, type(x) == list ? dyn(x" + entries + ") : dyn(x))"
		}
	}
	const entry = ".map(c, type(c) == map ? dyn([c.?name.orValue(''), c.?image.orValue('')]) : dyn(c))"
	const volume = ".filter(v, type(v) != map || has(v.image))" +
		".map(v, type(v) == map ? dyn([v.?name.orValue(''), type(v.image) == map ? v.image.?reference.orValue('') : v.image]) : dyn(v))"
	all := func(name string) func(string) string {
		return func(references string) string {
			return field("object", name) +
				".all(x, type(x) == list && x.all(c, type(c) == map && c.?image.orValue('-') in " + references + "))"
		}
	}
	return podSpec{
		images: list("containers", entry), initImages: list("initContainers", entry), volumes: list("volumes", volume),
		allImages: all("containers"), allInitImages: all("initContainers"),
		allVolumes: func(references string) string {
			return field("object", "volumes") + ".all(x, type(x) == list && x.all(v, type(v) == map" +
				" && (!has(v.image) || (type(v.image) == map && v.image.?reference.orValue('-') in " + references + "))))"
		},
		rollsBack: true,
		// A Rollout may take its template from a Deployment that it names.
		alsoChanged: fmt.Sprintf("%s != %s", "[object.?spec.orValue({})]"+step("workloadRef", "{}"), "[oldObject.?spec.orValue({})]"+step("workloadRef", "{}")),
	}
}

// step goes from a list of one value to the list of its field, or of other if the value has no such field or no fields at all.
func step(field, other string) string {
	return ".map(x, type(x) == map ? x.?" + field + ".orValue(" + other + ") : " + other + ")"
}
