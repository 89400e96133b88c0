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
	// Moved says that the tag means another image now than what runs (RunsOther).
	Moved bool
	// Fresher is what Fresher says of the image and its tag; empty if that is not known, or was not asked for.
	Fresher string
}

// ImagesReport is the answer to ImagesFresh with what the status lists.
type ImagesReport struct {
	Verdict
	// Images are at most 50: stale ones, then those that are too young, unknown, fresh and exempt, of equals those that go stale first at the
	// top. Count is how many there are, and Answers how many have each answer.
	Images  []v1alpha1.ImageStatus
	Count   int
	Answers map[string]int
	// Oldest is the creation time of the oldest image and NextStale the next instant at which one goes stale; zero if not known.
	Oldest, NextStale time.Time
	// Refused are the references that a new rollout could not bring under Enforce, each with the reason.
	Refused []string
}

// JudgeImages answers ImagesFresh over all images that are declared or run. One that is stale or too young is False, else one unknown is Unknown.
func JudgeImages(requirement ImageRequirement, observed []ObservedImage, now time.Time) ImagesReport {
	report := ImagesReport{Count: len(observed), Answers: map[string]int{}}
	var bad imageFindings
	for _, image := range observed {
		judged := JudgeImage(requirement, image.Reference, image.Facts, now)
		bad.note(image, judged)
		report.Answers[judged.Answer]++
		report.Images = append(report.Images, imageStatus(image, judged))
		report.NextChange = Earliest(report.NextChange, judged.NextChange)
		if !judged.Created.IsZero() {
			report.Oldest = Earliest(report.Oldest, judged.Created)
		}
		if judged.Answer == ImageFresh || judged.Answer == ImageTooYoung {
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
	if image.Moved || WantsFresher(judged) {
		status.Fresher = cut(plain(image.Fresher), maxDigest)
	}
	if !judged.Created.IsZero() {
		status.Created = at(judged.Created)
		status.StaleAt = at(judged.StaleAt)
		if since := image.Facts.SameContentSince; !since.IsZero() && since.Before(status.Created.Time) {
			status.SameContentSince = at(since)
		}
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
		cmp.Compare(strconv.FormatBool(a.Declared), strconv.FormatBool(b.Declared)), cmp.Compare(a.Fresher, b.Fresher),
		instant(a.SameContentSince).Compare(instant(b.SameContentSince)),
	)
}

var urgency = []string{ImageStale, ImageTooYoung, ImageUnknown, ImageFresh, ImageExempt}

func instant(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
