// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// sighting is one image as one workload object declares it or one container runs it.
type sighting struct {
	reference, running, admission string
	declared                      bool
	query                         posture.ImageQuery
}

// sightings are all images of the governed workload objects and pods of a namespace. gated says whether the gate stands, so that an image which
// it has not let in is remarkable.
type sightings struct {
	found     *inventory.Namespace
	selector  labels.Selector
	records   []v1alpha1.RolloutRecord
	platforms map[string]posture.Platform
	gated     bool
}

func (s *sightings) all() []sighting {
	var seen []sighting
	for i := range s.found.Roots {
		root := &s.found.Roots[i]
		if root.Kind == "Pod" || root.DeletionTimestamp != nil || !s.selector.Matches(labels.Set(root.Template.Labels)) {
			continue
		}
		for _, reference := range root.Template.References() {
			seen = append(seen, sighting{
				reference: reference, declared: true, admission: s.admission(root, reference),
				query: root.Template.Query(root.Namespace, reference),
			})
		}
	}
	for i := range s.found.Pods {
		seen = append(seen, s.ofPod(&s.found.Pods[i])...)
	}
	return seen
}

// ofPod are the images of one live pod: by what runs on its node's platform, not by what the tag means now.
func (s *sightings) ofPod(pod *corev1.Pod) []sighting {
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if finished || pod.DeletionTimestamp != nil || !s.selector.Matches(labels.Set(pod.Labels)) {
		return nil
	}
	self, _ := template.FromObject(pod)
	owner, top := s.found.OwnerOf(&self)
	identifiers := imageIDs(pod)
	var seen []sighting
	for _, image := range self.Template.Images {
		one := sighting{reference: image.Reference, query: self.Template.Query(pod.Namespace, image.Reference)}
		if platform, known := s.platforms[pod.Spec.NodeName]; known {
			one.query.Platform = platform
		}
		if running, found := template.RunningReference(image.Reference, identifiers[image.Container]); found {
			one.running, one.query.Reference = running, running
		}
		one.admission = s.podAdmission(&self, owner, top, image)
		seen = append(seen, one)
	}
	return seen
}

// admission is why the gate has let an image of a root workload in.
func (s *sightings) admission(root *template.Root, reference string) string {
	set := ledger.NewSet(root.Annotations, []string{ledger.RecordName(root.Kind, root.Name)}, s.records)
	reason, admitted := set.Admitted(reference)
	switch {
	case admitted:
		return string(reason)
	case s.gated:
		return posture.RanWithoutAdmission
	default:
		return ""
	}
}

// podAdmission compares a pod with its owner, since an owner is no proof. A container that the owner does not declare was injected by others
// and is reported as what it is. One that it declares with another image is a mismatch, unless the owner had that image before and
// does not replace its pods at once, as a StatefulSet, a DaemonSet or a ReplicaSet of its own.
func (s *sightings) podAdmission(self, owner, top *template.Root, image posture.TemplateImage) string {
	root := self
	if top != nil {
		root = top
	}
	admission := s.admission(root, image.Reference)
	if owner == nil {
		return admission
	}
	declared, found := owner.Template.Declares(image.Container)
	replaces := owner.Kind == "ReplicaSet" && owner.Controller() != nil || owner.Kind == "Job"
	if found && declared != image.Reference && (replaces || admission == posture.RanWithoutAdmission) {
		return posture.OwnerMismatch
	}
	return admission
}

func imageIDs(pod *corev1.Pod) map[string]string {
	identifiers := map[string]string{}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			identifiers[statuses[i].Name] = statuses[i].ImageID
		}
	}
	return identifiers
}

// observe gathers sightings into distinct images with the facts that are known of each. Facts that are not known yet are asked for.
func (r *Reconciler) observe(s *scope, seen []sighting) []posture.ObservedImage {
	var observed []posture.ObservedImage
	byKey := map[string]int{}
	for i := range seen {
		one := &seen[i]
		key := one.reference + "\n" + one.running + "\n" + one.query.Platform.String()
		at, known := byKey[key]
		if !known {
			at = len(observed)
			byKey[key] = at
			facts, found := r.Facts.Lookup(one.query)
			if facts.Unknown != "" {
				s.unknown = append(s.unknown, one.query)
			}
			if !found {
				facts = remembered(s.workload.Status.Images, one, facts)
			}
			observed = append(observed, posture.ObservedImage{Reference: one.reference, Running: one.running, Facts: facts})
		}
		image := &observed[at]
		image.Declared = image.Declared || one.declared
		if !one.declared {
			image.Pods++
		}
		image.Admission = worseAdmission(image.Admission, one.admission)
	}
	r.markMoved(seen, observed)
	slices.SortFunc(observed, func(a, b posture.ObservedImage) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Running, b.Running))
	})
	return observed
}

// remembered is what the last report says of an image, while this process asks for it the first time: a restart is no news. The gate never
// believes it.
func remembered(reported []v1alpha1.ImageStatus, one *sighting, otherwise posture.ImageFacts) posture.ImageFacts {
	_, digest, _ := strings.Cut(one.running, "@")
	at := slices.IndexFunc(reported, func(image v1alpha1.ImageStatus) bool {
		return image.Reference == one.reference && (digest == "" || image.Digest == digest)
	})
	if at < 0 {
		return otherwise
	}
	image := reported[at]
	os, architecture, _ := strings.Cut(image.Platform, "/")
	architecture, variant, _ := strings.Cut(architecture, "/")
	facts := posture.ImageFacts{Digest: image.Digest, Platform: posture.Platform{OS: os, Architecture: architecture, Variant: variant}}
	switch {
	case image.Created == nil:
		facts.Unknown = image.Reason
	case image.Evidence == string(posture.EvidenceHistory):
		facts.HistoryCreated = image.Created.Time
	case image.Evidence == string(posture.EvidenceAnnotation):
		facts.AnnotationCreated = image.Created.Time
	default:
		facts.ConfigCreated = image.Created.Time
	}
	return facts
}

// markMoved marks images whose tag means another digest now than what runs.
func (r *Reconciler) markMoved(seen []sighting, observed []posture.ObservedImage) {
	for i := range observed {
		image := &observed[i]
		if image.Running == "" || image.Running == image.Reference {
			continue
		}
		at := slices.IndexFunc(seen, func(s sighting) bool { return s.reference == image.Reference && s.running == image.Running })
		query := seen[at].query
		query.Reference = image.Reference
		now, _ := r.Facts.Lookup(query)
		image.Moved = now.Digest != "" && image.Facts.Digest != "" && now.Digest != image.Facts.Digest && now.ChildDigest != image.Facts.Digest
	}
}

// worseAdmission keeps of two admissions the one that a person has to know of.
func worseAdmission(a, b string) string {
	for _, word := range []string{
		posture.OwnerMismatch, posture.RanWithoutAdmission, string(v1alpha1.AdmittedEnteredUngoverned), string(v1alpha1.AdmittedRecovery),
		string(v1alpha1.AdmittedAudit), string(v1alpha1.AdmittedPreExisting), string(v1alpha1.AdmittedWarned), string(v1alpha1.AdmittedExempt),
	} {
		if a == word || b == word {
			return word
		}
	}
	return cmp.Or(a, b)
}
