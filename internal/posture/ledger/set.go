// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Set answers whether an image is admitted for one root workload, and why. The zero value admits nothing.
type Set struct {
	own, shared map[string]v1alpha1.AdmittedImage
}

// NewSet gathers what counts for one root workload: the admissions in its own annotations (of the old object, which nobody but
// labguard can have written), those of its own records (its own and its controller's), and of every record of the namespace the
// admissions whose reason joins the namespace. Of the record that Jobs and bare pods share only the latter count, since
// it belongs to no root in particular.
func NewSet(annotations map[string]string, own []string, records []v1alpha1.RolloutRecord) Set {
	set := Set{own: map[string]v1alpha1.AdmittedImage{}, shared: map[string]v1alpha1.AdmittedImage{}}
	for _, image := range Admissions(annotations) {
		prefer(set.own, image)
	}
	for i := range records {
		mine := slices.Contains(own, records[i].Name) && records[i].Name != v1alpha1.RunOnceRecordName
		for _, image := range records[i].Spec.Admitted {
			switch {
			case mine:
				prefer(set.own, image)
			case image.JoinsNamespace():
				prefer(set.shared, image)
			}
		}
	}
	for _, reference := range References(annotations) {
		if _, known := set.Admitted(reference); !known {
			set.own[reference] = v1alpha1.AdmittedImage{Reference: reference, Reason: v1alpha1.AdmittedEnteredUngoverned}
		}
	}
	return set
}

// reasons are all there are, the one that says most for an image first.
var reasons = []v1alpha1.AdmissionReason{
	v1alpha1.AdmittedFresh, v1alpha1.AdmittedPreExisting, v1alpha1.AdmittedWarned, v1alpha1.AdmittedExempt,
	v1alpha1.AdmittedAudit, v1alpha1.AdmittedRecovery, v1alpha1.AdmittedEnteredUngoverned,
}

// prefer keeps of several admissions of one image the one that says most for it, of equals the earliest, so that the order of records
// never counts.
func prefer(images map[string]v1alpha1.AdmittedImage, image v1alpha1.AdmittedImage) {
	known, found := images[image.Reference]
	if !found || cmp.Or(cmp.Compare(slices.Index(reasons, image.Reason), slices.Index(reasons, known.Reason)), image.Time.Compare(known.Time.Time),
		cmp.Compare(image.Digest, known.Digest), cmp.Compare(image.Container, known.Container)) < 0 {
		images[image.Reference] = image
	}
}

// Admitted says why a reference is admitted. What is recorded for the root itself comes before what the namespace shares.
func (s Set) Admitted(reference string) (v1alpha1.AdmissionReason, bool) {
	if image, found := s.own[reference]; found {
		return image.Reason, true
	}
	image, found := s.shared[reference]
	return image.Reason, found
}

// Last is the newest image recorded for the root itself other than those given; empty if there is none.
func (s Set) Last(other []string) string {
	for _, image := range s.newest() {
		if !slices.Contains(other, image.Reference) {
			return image.Reference
		}
	}
	return ""
}

// newest are the admissions of the root itself, the newest first.
func (s Set) newest() []v1alpha1.AdmittedImage {
	images := make([]v1alpha1.AdmittedImage, 0, len(s.own))
	for _, image := range s.own {
		images = append(images, image)
	}
	slices.SortFunc(images, newestFirst)
	return images
}

func newestFirst(a, b v1alpha1.AdmittedImage) int {
	return cmp.Or(b.Time.Compare(a.Time.Time), cmp.Compare(a.Reference, b.Reference))
}
