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

// Records are the RolloutRecords of one namespace, arranged once to make a Set for each of many root workloads. Nobody may change the records
// meanwhile. The zero value is a namespace without records.
type Records struct {
	named  map[string]*v1alpha1.RolloutRecord
	shared map[string]v1alpha1.AdmittedImage
}

// Arrange arranges the records of one namespace.
func Arrange(records []v1alpha1.RolloutRecord) Records {
	result := Records{named: make(map[string]*v1alpha1.RolloutRecord, len(records)), shared: map[string]v1alpha1.AdmittedImage{}}
	for i := range records {
		result.named[records[i].Name] = &records[i]
		for _, image := range records[i].Spec.Admitted {
			if image.JoinsNamespace() {
				prefer(result.shared, image)
			}
		}
	}
	return result
}

// Named is the record with a name, or nil.
func (r Records) Named(name string) *v1alpha1.RolloutRecord {
	return r.named[name]
}

// Set gathers what counts for one root workload: the admissions in its own annotations (of the old object, which nobody but
// labguard can have written), those of its own records (its own and its controller's), and of every record of the namespace the
// admissions whose reason joins the namespace. Of the record that Jobs and bare pods share only the latter count, since
// it belongs to no root in particular.
func (r Records) Set(annotations map[string]string, own []string) Set {
	set := Set{own: map[string]v1alpha1.AdmittedImage{}, shared: r.shared}
	for _, image := range Admissions(annotations) {
		prefer(set.own, image)
	}
	for _, name := range own {
		record := r.named[name]
		if record == nil || name == v1alpha1.RunOnceRecordName {
			continue
		}
		for _, image := range record.Spec.Admitted {
			prefer(set.own, image)
		}
	}
	for _, reference := range References(annotations) {
		if _, known := set.Admitted(reference); !known {
			set.own[reference] = v1alpha1.AdmittedImage{Reference: reference, Reason: v1alpha1.AdmittedEnteredUngoverned}
		}
	}
	return set
}

// NewSet is the Set of one root workload by the records of its namespace. Whoever asks about several root workloads arranges them once.
func NewSet(annotations map[string]string, own []string, records []v1alpha1.RolloutRecord) Set {
	return Arrange(records).Set(annotations, own)
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
	for _, images := range []map[string]v1alpha1.AdmittedImage{s.own, s.shared} {
		if image, found := images[reference]; found {
			return image.Reason, true
		}
	}
	return "", false
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
