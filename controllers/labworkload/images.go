// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// sighting is one image as one workload object declares it or one container runs it.
type sighting struct {
	reference, running, admission string
	// elsewhere is what runs under the name that the node gives it, if that is another repository; bare is the digest where the node names none.
	elsewhere, bare string
	declared        bool
	query           posture.ImageQuery
}

// sightings are all images of the governed workload objects and pods of a namespace. gated says whether the gate stands, so that an image which
// it has not let in is remarkable.
type sightings struct {
	found     *inventory.Namespace
	selector  labels.Selector
	records   []v1alpha1.RolloutRecord
	platforms map[string]posture.Platform
	// common is what an image that is declared without a node selector will run on.
	common posture.Platform
	gated  bool
}

func (s *sightings) all() []sighting {
	var seen []sighting
	for i := range s.found.Roots {
		root := &s.found.Roots[i]
		// What a held root declares was not let in: it is reported as held.
		if root.Kind == "Pod" || root.Held() || !s.governs(root) {
			continue
		}
		for _, reference := range root.Template.References() {
			seen = append(seen, sighting{
				reference: reference, declared: true, admission: s.admission(root, reference), query: s.query(root, reference),
			})
		}
	}
	for i := range s.found.Pods {
		seen = append(seen, s.ofPod(&s.found.Pods[i])...)
	}
	return seen
}

func (s *sightings) governs(root *template.Root) bool {
	return root.DeletionTimestamp == nil && s.selector.Matches(labels.Set(root.Template.Labels))
}

// query asks for an image on the platform that the template's node selector asks for, else on that of all nodes.
func (s *sightings) query(root *template.Root, reference string) posture.ImageQuery {
	query := root.Template.Query(root.Namespace, reference)
	if query.Platform == (posture.Platform{}) {
		query.Platform = s.common
	}
	return query
}

// ofPod are the images of one live pod: by what runs on its node's platform, not by what the tag means now.
func (s *sightings) ofPod(pod *corev1.Pod) []sighting {
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if finished || hold.Gated(pod.Spec.SchedulingGates) || pod.DeletionTimestamp != nil || !s.selector.Matches(labels.Set(pod.Labels)) {
		return nil
	}
	self := s.found.Pod(pod)
	owner, top := s.found.OwnerOf(&self)
	identifiers := imageIDs(pod)
	var seen []sighting
	for _, image := range self.Template.Images {
		one := sighting{reference: image.Reference, query: s.query(&self, image.Reference)}
		if platform, known := s.platforms[pod.Spec.NodeName]; known {
			one.query.Platform = platform
		}
		if running, found := template.RunningReference(image.Reference, identifiers[image.Container]); found {
			one.running, one.query.Reference = running, running
			one.bare, _ = template.BareDigest(identifiers[image.Container])
			if elsewhere, named := template.ReportedReference(identifiers[image.Container]); named && elsewhere != running {
				one.elsewhere = elsewhere
			}
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
