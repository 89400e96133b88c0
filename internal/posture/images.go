// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// maxReported is how many images a status lists.
const maxReported = 50

// Words for an image that runs and that the gate has not let in.
const (
	RanWithoutAdmission = v1alpha1.ReasonRanWithoutAdmission
	OwnerMismatch       = v1alpha1.ReasonOwnerMismatch
)

// ObservedImage is one distinct image that workload objects declare or pods run.
type ObservedImage struct {
	// Reference is the image as declared, Running the digest reference that pods run; empty if none runs.
	Reference, Running string
	// Declared says that a workload object declares it; Pods is how many pods run it.
	Declared bool
	Pods     int
	// Admission is the admission reason, RanWithoutAdmission or OwnerMismatch; empty where no gate stands.
	Admission string
	// Facts are those of what runs if something runs, else those of what is declared.
	Facts ImageFacts
	// Moved says that the tag means another digest now than what runs.
	Moved bool
}

// ImagesReport is the answer to ImagesFresh with what the status lists.
type ImagesReport struct {
	Verdict
	// Images are at most 50, the ones that go stale first at the top; Count is how many there are.
	Images []v1alpha1.ImageStatus
	Count  int
	// Oldest is the creation time of the oldest image and NextStale the next instant at which one goes stale; zero if not known.
	Oldest, NextStale time.Time
	// Refused are the references that a new rollout could not bring under Enforce, each with the reason.
	Refused []string
}

// JudgeImages answers ImagesFresh over all images that are declared or run. One stale image is False, else one unknown is Unknown.
func JudgeImages(requirement ImageRequirement, observed []ObservedImage, now time.Time) ImagesReport {
	report := ImagesReport{Count: len(observed)}
	var bad imageFindings
	for _, image := range observed {
		judged := JudgeImage(requirement, image.Reference, image.Facts, now)
		bad.note(image, judged)
		report.Images = append(report.Images, imageStatus(image, judged))
		report.NextChange = Earliest(report.NextChange, judged.NextChange)
		if !judged.Created.IsZero() {
			report.Oldest = Earliest(report.Oldest, judged.Created)
		}
		if judged.StaleAt.After(now) {
			report.NextStale = Earliest(report.NextStale, judged.StaleAt)
		}
		if _, refused := admissionOf(requirement, judged); refused && image.Declared && !wasAdmitted(image.Admission) {
			report.Refused = append(report.Refused, image.Reference+": "+judged.Reason)
		}
	}
	slices.Sort(report.Refused)
	slices.SortFunc(report.Images, byUrgency)
	report.Images = report.Images[:min(len(report.Images), maxReported)]
	nextChange := report.NextChange
	report.Verdict = bad.verdict(len(observed))
	report.NextChange = nextChange
	return report
}

func wasAdmitted(admission string) bool {
	return admission != "" && admission != RanWithoutAdmission && admission != OwnerMismatch
}

// imageFindings are the references for each thing that may be wrong.
type imageFindings struct {
	mismatch, unadmitted, entered, preExisting, stale, unknown, soon, moved []string
	reasons                                                                 []string
}

func (f *imageFindings) note(image ObservedImage, judged ImageVerdict) {
	if image.Admission == OwnerMismatch {
		f.mismatch = append(f.mismatch, image.Reference)
	}
	if image.Moved {
		f.moved = append(f.moved, image.Reference)
	}
	if judged.Warns {
		f.soon = append(f.soon, image.Reference)
	}
	switch judged.Answer {
	case ImageStale:
		switch image.Admission {
		case RanWithoutAdmission:
			f.unadmitted = append(f.unadmitted, image.Reference)
		case string(v1alpha1.AdmittedEnteredUngoverned):
			f.entered = append(f.entered, image.Reference)
		case string(v1alpha1.AdmittedPreExisting):
			f.preExisting = append(f.preExisting, image.Reference)
		default:
			f.stale = append(f.stale, image.Reference)
		}
	case ImageFresh, ImageExempt:
	default:
		f.unknown = append(f.unknown, image.Reference)
		f.reasons = append(f.reasons, judged.Reason)
	}
}

func (f *imageFindings) verdict(count int) Verdict {
	no, unknown := metav1.ConditionFalse, metav1.ConditionUnknown
	switch {
	case count == 0:
		return verdict(unknown, v1alpha1.ReasonNoImage, "no workload object declares an image for these pods and no pod runs one")
	case len(f.mismatch) > 0:
		return verdict(no, v1alpha1.ReasonOwnerMismatch, "a pod runs %s, which its owner does not declare: delete the pod", List(f.mismatch))
	case len(f.unadmitted) > 0:
		return verdict(no, v1alpha1.ReasonRanWithoutAdmission, "stale image %s runs, and the gate never let it in", List(f.unadmitted))
	case len(f.stale) > 0:
		return verdict(no, v1alpha1.ReasonImageStale, "stale: %s", List(f.stale))
	case len(f.entered) > 0:
		return verdict(no, v1alpha1.ReasonEnteredUngoverned, "stale and there before this LabWorkload selected it: %s", List(f.entered))
	case len(f.preExisting) > 0:
		return verdict(no, string(v1alpha1.AdmittedPreExisting), "stale and there before enforcement began: %s", List(f.preExisting))
	case len(f.unknown) > 0:
		return verdict(unknown, v1alpha1.ReasonImageAgeUnknown, "no age known for %s (%s)", List(f.unknown), List(f.reasons))
	case len(f.soon) > 0:
		return verdict(metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh; soon stale: %s", List(f.soon))
	case len(f.moved) > 0:
		return verdict(metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh; the tag has moved since the pod was started: %s", List(f.moved))
	default:
		return verdict(metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh")
	}
}

func imageStatus(image ObservedImage, judged ImageVerdict) v1alpha1.ImageStatus {
	answer := judged.Answer
	if answer == "" {
		answer = ImageUnknown
	}
	status := v1alpha1.ImageStatus{
		Reference: cut(image.Reference, 1024), Digest: image.Facts.Digest, Platform: image.Facts.Platform.String(),
		Answer: answer, Reason: judged.Reason, Evidence: string(judged.Evidence), Admission: image.Admission, Declared: image.Declared,
		Pods: int32(min(image.Pods, 1<<30)), //nolint:gosec // bounded right here
	}
	if _, digest, found := strings.Cut(image.Running, "@"); found {
		status.Digest = digest
	}
	if !judged.Created.IsZero() {
		status.Created = at(judged.Created)
		status.StaleAt = at(judged.StaleAt)
	}
	return status
}

func at(instant time.Time) *metav1.Time {
	rounded := metav1.NewTime(instant.UTC().Truncate(time.Second))
	return &rounded
}

// byUrgency sorts what is unknown or stale soonest to the top, and equal ones by reference and digest, so that a status never flaps.
func byUrgency(a, b v1alpha1.ImageStatus) int {
	if a.StaleAt != nil && b.StaleAt != nil && !a.StaleAt.Equal(b.StaleAt) {
		return a.StaleAt.Compare(b.StaleAt.Time)
	}
	if (a.StaleAt == nil) != (b.StaleAt == nil) {
		if a.StaleAt == nil {
			return -1
		}
		return 1
	}
	return strings.Compare(fmt.Sprint(a.Reference, "@", a.Digest), fmt.Sprint(b.Reference, "@", b.Digest))
}
