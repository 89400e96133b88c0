// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	// maxReported is how many images a status lists.
	maxReported = 50
	// maxPlatform and maxDigest are the lengths in bytes that the API has room for: an image says its platform itself.
	maxPlatform, maxDigest = 64, 256
)

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
	// Images are at most 50: stale ones, then unknown ones, then fresh ones, then exempt ones, of equals those that go stale first at the
	// top. Count is how many there are.
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
		if judged.Answer == ImageFresh {
			report.NextStale = Earliest(report.NextStale, judged.StaleAt)
		}
		if _, refused := admissionOf(requirement, judged); refused && image.Declared && !wasAdmitted(image.Admission) {
			report.Refused = append(report.Refused, shown(image.Reference)+": "+judged.Reason)
		}
	}
	slices.Sort(report.Refused)
	report.Refused = slices.Compact(report.Refused)
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
		return verdict(no, v1alpha1.ReasonOwnerMismatch, "a pod runs %s, which its owner does not declare: delete the pod", f.mismatch)
	case len(f.unadmitted) > 0:
		return verdict(no, v1alpha1.ReasonRanWithoutAdmission, "stale image %s runs, and the gate never let it in", f.unadmitted)
	case len(f.stale) > 0:
		return verdict(no, v1alpha1.ReasonImageStale, "stale: %s", f.stale)
	case len(f.entered) > 0:
		return verdict(no, v1alpha1.ReasonEnteredUngoverned, "stale and there before this LabWorkload selected it: %s", f.entered)
	case len(f.preExisting) > 0:
		return verdict(no, string(v1alpha1.AdmittedPreExisting), "stale and there before enforcement began: %s", f.preExisting)
	case len(f.unknown) > 0:
		return verdict(unknown, v1alpha1.ReasonImageAgeUnknown, "no age known for %s (%s)", f.unknown, f.reasons)
	case len(f.soon) > 0 && len(f.moved) > 0:
		return verdict(metav1.ConditionTrue, v1alpha1.ReasonImageFresh,
			"all images are fresh; soon stale: %s; the tag has moved since the pod was started: %s", f.soon, f.moved)
	case len(f.soon) > 0:
		return verdict(metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh; soon stale: %s", f.soon)
	case len(f.moved) > 0:
		return verdict(metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh; the tag has moved since the pod was started: %s", f.moved)
	default:
		return verdict(metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh")
	}
}

func imageStatus(image ObservedImage, judged ImageVerdict) v1alpha1.ImageStatus {
	status := v1alpha1.ImageStatus{
		Reference: shown(image.Reference), Digest: image.Facts.Digest, Platform: cut(plain(image.Facts.Platform.String()), maxPlatform),
		Answer: judged.Answer, Reason: judged.Reason, Evidence: string(judged.Evidence), Admission: image.Admission, Declared: image.Declared,
		Pods: int32(max(0, min(image.Pods, 1<<30))),
	}
	if _, digest, found := strings.Cut(image.Running, "@"); found {
		status.Digest = digest
	}
	status.Digest = cut(plain(status.Digest), maxDigest)
	if image.Moved && judged.Answer == ImageFresh {
		status.Reason = v1alpha1.ReasonRunsOtherDigest
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

// byUrgency sorts what makes the answer worse to the top, of equals what goes stale first, and the rest by every word of it, so that
// a status never flaps.
func byUrgency(a, b v1alpha1.ImageStatus) int {
	return cmp.Or(
		cmp.Compare(slices.Index(urgency, a.Answer), slices.Index(urgency, b.Answer)), instant(a.StaleAt).Compare(instant(b.StaleAt)),
		cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Platform, b.Platform),
		cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Admission, b.Admission), cmp.Compare(a.Pods, b.Pods),
		instant(a.Created).Compare(instant(b.Created)), cmp.Compare(a.Evidence, b.Evidence),
		cmp.Compare(strconv.FormatBool(a.Declared), strconv.FormatBool(b.Declared)),
	)
}

var urgency = []string{ImageStale, ImageUnknown, ImageFresh, ImageExempt}

func instant(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
