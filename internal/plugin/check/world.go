// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/rollout"
)

// Known are facts of the cluster that the manifests are meant for.
type Known struct {
	Workloads []v1alpha1.LabWorkload
	Records   []v1alpha1.RolloutRecord
	Images    []v1alpha1.ImageRecord
}

// World is what manifests are judged by.
type World struct {
	// Namespace is that of objects that name none.
	Namespace string
	// Platform is what the nodes have in common; zero if that is not known.
	Platform posture.Platform
	Now      time.Time
	// Facts are those of a registry; false where it was not asked. Nil: none was asked.
	Facts func(posture.ImageQuery) (posture.ImageFacts, bool)
	// Before is an object of the cluster under the same name; nil: there is none.
	Before func(*Object) *Before
	// Invalid says what the API server would refuse in an object of labguard's kinds, and completes it with defaults. Nil: nothing is refused.
	Invalid func(*Object) ([]byte, []FieldProblem)
	// ClusterWide says of a kind of labguard's that its objects lie in no namespace. Nil: all lie in one.
	ClusterWide func(kind string) bool

	spaces   map[string]*space
	contents map[string]posture.Content
	tags     map[string]*v1alpha1.ImageRecord
	// refused are objects of labguard's kinds that the API server would not take.
	refused []Result
	// before are the LabWorkloads as they are in force, changed those of the manifests that are not so.
	before  map[string]inForce
	changed map[string]Remark
	// disbelieved says that there are records among the manifests.
	disbelieved bool
}

// FieldProblem is what is wrong with one field.
type FieldProblem struct {
	// Path leads to the field: names of fields and, in lists, numbers.
	Path []any
	Text string
}

// space is a namespace, gathered first and then arranged.
type space struct {
	gate.Seen

	// index says where among the LabWorkloads one of a name stands.
	index    map[string]int
	arranged *rollout.Namespace
}

// Know takes facts of a cluster. What Declare takes later replaces LabWorkloads of the same name.
func (w *World) Know(facts Known) {
	for _, one := range facts.Workloads {
		w.workload(one)
		w.isInForce(&one, nil)
	}
	for _, one := range facts.Records {
		space := w.space(one.Namespace)
		space.Records = append(space.Records, one)
	}
	for i := range facts.Images {
		w.image(&facts.Images[i])
	}
}

func (w *World) workload(one v1alpha1.LabWorkload) {
	space := w.space(one.Namespace)
	if at, found := space.index[one.Name]; found {
		space.Workloads[at] = one
		return
	}
	space.index[one.Name] = len(space.Workloads)
	space.Workloads = append(space.Workloads, one)
}

func (w *World) image(one *v1alpha1.ImageRecord) {
	if w.contents == nil {
		w.contents, w.tags = map[string]posture.Content{}, map[string]*v1alpha1.ImageRecord{}
	}
	w.contents[one.Spec.Digest] = posture.ContentOf(one)
	if last := w.tags[one.Spec.Reference]; last == nil || one.Spec.FirstSeen.After(last.Spec.FirstSeen.Time) {
		w.tags[one.Spec.Reference] = one
	}
}

func (w *World) space(name string) *space {
	if w.spaces == nil {
		w.spaces = map[string]*space{}
	}
	if w.spaces[name] == nil {
		w.spaces[name] = &space{index: map[string]int{}, Seen: gate.Seen{Namespace: name, Platform: w.Platform, Now: w.Now, Content: w.content, Digest: w.digest}}
	}
	return w.spaces[name]
}

func (w *World) content(digest string) (posture.Content, bool) {
	content, found := w.contents[digest]
	return content, found
}

func (w *World) digest(reference string) (string, bool) {
	record := w.tags[reference]
	if record == nil {
		return "", false
	}
	return record.Spec.Digest, true
}

// Doubts are what may have been forgotten, so that nothing is enforced where something should be, and what manifests say of themselves. All has been
// declared before.
func (w *World) Doubts(all []*Object) []string { return append(w.distrust(), w.forgotten(all)...) }

func (w *World) forgotten(all []*Object) []string {
	enforcers, nowhere, judged := 0, 0, 0
	for _, space := range w.spaces {
		enforcers += len(space.Workloads)
	}
	for _, object := range all {
		if object.Judged() {
			judged++
			if object.Namespace == "" {
				nowhere++
			}
		}
	}
	switch {
	case judged == 0:
		return nil
	case enforcers == 0:
		return []string{"there is no LabWorkload, so nothing is enforced: give them with -f or --facts, or take those of the cluster with --cluster"}
	case nowhere > 0 && len(w.space(w.Namespace).Workloads) == 0:
		return []string{fmt.Sprintf("%s without a namespace, and there is no LabWorkload in %s: say with -n where they go", plural(nowhere, "object is", "objects are"), w.Namespace)}
	default:
		return nil
	}
}

func plural(count int, one, many string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, many)
}

// arrange is the namespace as questions need it. Nothing is declared after the first question.
func (w *World) arrange(name string) *space {
	found := w.space(name)
	if found.arranged == nil {
		found.arranged = rollout.Arrange(name, found.Workloads, found.Records)
	}
	return found
}

// Declare takes what an object of labguard's kinds says, of the manifests or of the facts. It gives what the API server would refuse in it, and whether it is
// of such a kind.
func (w *World) Declare(object *Object, fact bool) (problems []FieldProblem, known bool) {
	if object.group() != v1alpha1.GroupVersion.Group {
		return nil, false
	}
	raw := object.raw
	if w.Invalid != nil {
		raw, problems = w.Invalid(object)
	}
	var err error
	switch {
	case object.APIVersion != v1alpha1.GroupVersion.String(): // of no version that there is, it says nothing
	case object.Kind == "LabWorkload":
		err = declare(raw, func(one v1alpha1.LabWorkload) {
			one.Namespace = w.NamespaceOf(object)
			if !fact {
				w.propose(one, object)
				return
			}
			w.workload(one)
			w.isInForce(&one, object)
		})
	case object.Kind == "RolloutRecord" && fact:
		err = declare(raw, func(one v1alpha1.RolloutRecord) {
			space := w.space(w.NamespaceOf(object))
			space.Records = append(space.Records, one)
		})
	case object.Kind == "ImageRecord" && fact:
		err = declare(raw, func(one v1alpha1.ImageRecord) { w.image(&one) })
	}
	if err != nil && len(problems) == 0 {
		problems = []FieldProblem{{Text: err.Error()}}
	}
	return problems, true
}

func declare[T any](raw []byte, take func(T)) error {
	var one T
	if err := json.Unmarshal(raw, &one); err != nil {
		return fmt.Errorf("it cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	take(one)
	return nil
}

// NamespaceOf is the namespace in which an object would be.
func (w *World) NamespaceOf(object *Object) string {
	if object.Namespace != "" {
		return object.Namespace
	}
	return w.Namespace
}

// facts are what is known of an image: by a registry that was asked; where that tells nothing from here, or was not asked, by records and statuses.
func (w *World) facts(in *space, query posture.ImageQuery) posture.ImageFacts {
	facts, _ := w.told(in, query)
	return facts
}

// told are facts with their basis; none where a registry has told them now, or nobody knows.
func (w *World) told(in *space, query posture.ImageQuery) (posture.ImageFacts, gate.Basis) {
	var told posture.ImageFacts
	asked := false
	if w.Facts != nil {
		if told, asked = w.Facts(query); asked && !gate.NotKnownHere(told.Unknown) {
			return told, ""
		}
	}
	recorded, basis := in.Facts(query)
	switch {
	case basis != "":
		return recorded, basis
	case asked:
		return told, ""
	default:
		return posture.ImageFacts{Unknown: v1alpha1.ReasonNotResolved, Detail: "no ImageRecord among the facts tells it, and no registry was asked: leave --offline out, or give its ImageRecord with --facts"}, ""
	}
}
