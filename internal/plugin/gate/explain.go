// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

// Object is an object that makes pods, or a pod, as the cluster has it.
type Object struct {
	Root *template.Root
	// Fields is the same object, for what holding it depends on.
	Fields *hold.Object
}

// Explanation says whether an object would roll out, now and later. It is also what programs read.
type Explanation struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	// Owner is what controls the object; the question is then about that.
	Owner string `json:"owner,omitempty"`
	// Enforcing are the LabWorkloads that enforce image age on it now, each with its limits; Auditing those that would under Enforce.
	Enforcing []string `json:"enforcing,omitempty"`
	Auditing  []string `json:"auditing,omitempty"`
	// Held says that it is held now.
	Held bool `json:"held,omitempty"`
	// Notes are what has to be known beside the answers.
	Notes []string `json:"notes,omitempty"`
	// Now and Later are the answers to a write that brings the images: those that the object has, as a restart does, or others that were asked about.
	Now   Outcome `json:"now"`
	Later Outcome `json:"later"`
	// AnewNow and AnewLater are the answers of a namespace that has never seen the images.
	AnewNow   Outcome `json:"anewNow"`
	AnewLater Outcome `json:"anewLater"`
	// UnderEnforce is what the LabWorkloads in Auditing would say; nil if others enforce, or none audits.
	UnderEnforce *Outcome `json:"underEnforce,omitempty"`
	Images       []Image  `json:"images"`
}

// here are the reasons of an unknown age that depend on who asks, and from where.
var here = []string{
	v1alpha1.ReasonNotResolved, v1alpha1.ReasonRegistryUnreachable, v1alpha1.ReasonRegistryThrottled, v1alpha1.ReasonCredentialsNotReadable,
	v1alpha1.ReasonCredentialsRejected, v1alpha1.ReasonImageNotFound, v1alpha1.ReasonRegistryAddressRefused,
}

// NotKnownHere says of the reason of an unknown age that labguard may know better.
func NotKnownHere(reason string) bool { return slices.Contains(here, reason) }

// Guessed are the images that decide whether it rolls out now and whose age is not known here: labguard may know better. None if another image stops it
// anyway.
func (e *Explanation) Guessed() []string {
	if e.Now.Verdict == RollsOut || e.Held {
		return nil
	}
	var all []string
	for _, image := range e.Images {
		switch {
		case image.Admitted != "":
		case image.Answer == posture.ImageUnknown && NotKnownHere(image.Reason):
			all = append(all, image.Reference)
		case !e.Now.Verdict.Passes() && image.Answer != posture.ImageFresh && image.Answer != posture.ImageExempt && image.Answer != "":
			return nil
		}
	}
	return all
}

// Image is one image with what is known of it.
type Image struct {
	Reference  string   `json:"reference"`
	Containers []string `json:"containers"`
	// Admitted is why it was let in for this object; empty if it was not.
	Admitted v1alpha1.AdmissionReason `json:"admitted,omitempty"`
	// Answer and Reason are about its age, by the strictest of the LabWorkloads; empty if none says how old it may be.
	Answer   string     `json:"answer,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Detail   string     `json:"detail,omitempty"`
	Created  *time.Time `json:"created,omitempty"`
	Evidence string     `json:"evidence,omitempty"`
	StaleAt  *time.Time `json:"staleAt,omitempty"`
	// Basis is where that is known from; empty if nothing is known.
	Basis Basis `json:"basis,omitempty"`
}

// Explain answers for an object as it is, or with other images, by the names of their containers.
func Explain(seen *Seen, object Object, other map[string]string, later time.Duration) (Explanation, error) {
	root, err := withImages(object.Root, other)
	if err != nil {
		return Explanation{}, err
	}
	root, object.Root = seen.withoutAirlock(root), seen.withoutAirlock(object.Root)
	e := Explanation{Namespace: seen.Namespace, Kind: root.Kind, Name: root.Name, Held: object.Root.Held(), Images: []Image{}}
	if owner := root.Controller(); owner != nil && len(other) == 0 {
		e.Owner = owner.Kind + "/" + owner.Name
		if ownerOfKubernetes(root) != nil {
			e.Notes = append(e.Notes, e.Owner+" controls it, and what a controller of Kubernetes makes of it is never refused: ask about that")
		} else {
			e.Notes = append(e.Notes, e.Owner+" controls it: what an operator of another namespace writes is never refused, and this is the answer to one of this namespace, or to a person")
		}
	}
	namespace := rollout.Arrange(seen.Namespace, seen.Workloads, seen.Records)
	write := ask{root: root, old: object.Root, workloads: namespace, cannotHold: hold.Cannot(object.Fields, object.Fields)}
	anew := ask{root: root, workloads: namespace, anew: true, cannotHold: hold.Cannot(nil, object.Fields)}
	if e.Held {
		write.cannotHold = ""
	}
	end := seen.Now.Add(later)
	e.Now, e.Later = seen.outcome(write, seen.Now), seen.outcome(write, end)
	e.AnewNow, e.AnewLater = seen.outcome(anew, seen.Now), seen.outcome(anew, end)
	enforcing, auditing := seen.requirements(root, object.Root)
	e.Enforcing, e.Auditing = wordsFor(enforcing), wordsFor(auditing)
	if len(enforcing) == 0 && len(auditing) > 0 {
		strict := write
		strict.workloads = rollout.Arrange(seen.Namespace, enforced(seen.Workloads), seen.Records)
		would := seen.outcome(strict, seen.Now)
		e.UnderEnforce = &would
	}
	e.settle(seen, write, len(other) > 0)
	e.Images = seen.images(write, slices.Concat(enforcing, auditing))
	if e.Held && len(other) > 0 {
		e.Notes = append(e.Notes, "it is held, and stays so after any write but labguard's own, which comes in a moment if the images are fine")
	}
	e.Notes = append(e.Notes, seen.notes(len(enforcing) > 0, e.Held, write)...)
	return e, nil
}

func (s *Seen) outcome(question ask, at time.Time) Outcome {
	question.at = at
	decision, _, _ := s.decide(question)
	return outcomeOf(decision, at)
}

// notes are what the answers do not say.
func (s *Seen) notes(enforces, held bool, question ask) []string {
	var notes []string
	question.at = s.Now
	if s.InRecovery() {
		notes = append(notes, "the namespace is in recovery: until that ends the gate lets everything in")
	}
	if epoch := s.epoch(); enforces && (epoch == nil || epoch.Proof == "" || epoch.Proof == v1alpha1.ReasonEnforcementNotProven || epoch.Proof == v1alpha1.ReasonCanaryBlocked) {
		notes = append(notes, "the gate is not known to stand in the namespace: see Ready in kubectl labguard status")
	}
	if _, _, write := s.decide(question); held && write.Frozen() {
		notes = append(notes, "a LabWorkload that selects it is suspended: labguard releases nothing meanwhile")
	}
	return notes
}

// withoutAirlock is an object without what labguard has added to it, as admission judges it.
func (s *Seen) withoutAirlock(root *template.Root) *template.Root {
	changed := *root
	changed.LeaveOutAirlock(s.Airlock...)
	return &changed
}

// withImages is a copy of an object with other images.
func withImages(root *template.Root, other map[string]string) (*template.Root, error) {
	if len(other) == 0 {
		return root, nil
	}
	changed := *root
	changed.Template.Images = slices.Clone(root.Template.Images)
	for _, name := range slices.Sorted(maps.Keys(other)) {
		at := slices.IndexFunc(changed.Template.Images, func(image posture.TemplateImage) bool { return image.Container == name })
		if at < 0 {
			return nil, fmt.Errorf("%s %s has no container %s: it has %s", root.Kind, root.Name, name, posture.List(containers(root)))
		}
		changed.Template.Images[at].Reference = other[name]
	}
	return &changed, nil
}

func containers(root *template.Root) []string {
	var names []string
	for _, image := range root.Template.Images {
		names = append(names, image.Container)
	}
	return names
}

// requirements are those of the LabWorkloads that select the object, by whether they enforce image age now.
func (s *Seen) requirements(roots ...*template.Root) (enforcing, auditing []posture.Governing) {
	for i := range s.Workloads {
		lw := &s.Workloads[i]
		selector, err := metav1.LabelSelectorAsSelector(&lw.Spec.Selector)
		if err != nil || lw.Spec.Images == nil {
			continue
		}
		if !slices.ContainsFunc(roots, func(root *template.Root) bool { return selector.Matches(labels.Set(root.Template.Labels)) }) {
			continue
		}
		one := posture.Governing{Name: lw.Name, Requirement: posture.NewImageRequirement(lw.Spec.Images)}
		if posture.EnforcementAt(&lw.Spec, s.Now).Images {
			enforcing = append(enforcing, one)
		} else {
			auditing = append(auditing, one)
		}
	}
	return enforcing, auditing
}

// enforced are LabWorkloads as they would be at Enforce.
func enforced(workloads []v1alpha1.LabWorkload) []v1alpha1.LabWorkload {
	changed := make([]v1alpha1.LabWorkload, 0, len(workloads))
	for i := range workloads {
		one := workloads[i].DeepCopy()
		one.Spec.Enforcement, one.Spec.EnforceAfter = v1alpha1.EnforcementEnforce, ""
		if one.Spec.Images != nil {
			one.Spec.Images.Enforcement = ""
		}
		changed = append(changed, *one)
	}
	return changed
}

func wordsFor(governing []posture.Governing) []string {
	var words []string
	for _, one := range governing {
		r := one.Requirement
		text := fmt.Sprintf("%s: at most %s", one.Name, posture.Exactly(r.MaxAge))
		if r.MinAge > 0 {
			text += ", at least " + posture.Exactly(r.MinAge)
		}
		words = append(words, fmt.Sprintf("%s, onStale %s, onUnknownAge %s", text, r.OnStale, r.OnUnknownAge))
	}
	return words
}

// images are those of the object, each with its age by the strictest requirement.
func (s *Seen) images(question ask, governing []posture.Governing) []Image {
	question.at = s.Now
	_, _, write := s.decide(question)
	admitted := write.Admitted()
	images := []Image{}
	for _, reference := range question.root.Template.References() {
		one := Image{Reference: reference, Containers: containersOf(question.root, reference)}
		one.Admitted, _ = admitted.Admitted(reference)
		facts, basis := s.facts(write.Query(reference))
		one.Basis = basis
		one.judge(governing, facts, s.Now)
		images = append(images, one)
	}
	return images
}

// worst are the answers about one image, the worst first.
var worst = []string{posture.ImageStale, posture.ImageTooYoung, posture.ImageUnknown, posture.ImageFresh, posture.ImageExempt}

// judge takes the worst answer of all requirements, and of all the first instant at which the image is stale.
func (i *Image) judge(governing []posture.Governing, facts posture.ImageFacts, now time.Time) {
	for _, by := range governing {
		judged := posture.JudgeImage(by.Requirement, i.Reference, facts, now)
		if stale := pointer(judged.StaleAt); stale != nil && (i.StaleAt == nil || stale.Before(*i.StaleAt)) {
			i.StaleAt = stale
		}
		if i.Answer == "" || slices.Index(worst, judged.Answer) < slices.Index(worst, i.Answer) {
			i.Answer, i.Reason, i.Detail = judged.Answer, judged.Reason, judged.Detail
			i.Created, i.Evidence = pointer(judged.Created), string(judged.Evidence)
		}
	}
}

func containersOf(root *template.Root, reference string) []string {
	var names []string
	for _, image := range root.Template.Images {
		if image.Reference == reference {
			names = append(names, image.Container)
		}
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
