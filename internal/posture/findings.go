// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// imageFindings are the references for each thing that may be wrong.
type imageFindings struct {
	mismatch, young, unknown, moved                []string
	unadmitted, stale, entered, preExisting, aging aged
	reasons                                        []string
}

// aged are references of images that need a fresher build, and those of them for which it is known whether there is one.
type aged struct {
	names, fresher, none []string
}

func (a *aged) add(image ObservedImage) {
	a.names = append(a.names, image.Reference)
	switch image.Fresher {
	case "":
	case FresherNone:
		a.none = append(a.none, image.Reference)
	default:
		a.fresher = append(a.fresher, image.Reference)
	}
}

// sentence says which images there are, in a sentence with one %s for them, and what to do about them.
func (a *aged) sentence(beginning string) (sentence string, lists [][]string) {
	const pull, build = "a fresher build exists: roll out again, so that it is pulled", "no fresher build exists: build it anew"
	names, fresher, none := distinct(a.names), distinct(a.fresher), distinct(a.none)
	lists = [][]string{names}
	switch {
	case len(fresher) == 0 && len(none) == 0:
		return beginning, lists
	case slices.Equal(names, fresher) && len(none) == 0:
		return beginning + "; " + pull, lists
	case slices.Equal(names, none) && len(fresher) == 0:
		return beginning + "; " + build, lists
	}
	sentence = beginning
	if len(fresher) > 0 {
		sentence, lists = sentence+"; a fresher build exists of %s: roll out again", append(lists, fresher)
	}
	if len(none) > 0 {
		sentence, lists = sentence+"; no fresher build exists of %s: build anew", append(lists, none)
	}
	return sentence, lists
}

func (a *aged) verdict(reason, beginning string) Verdict {
	sentence, lists := a.sentence(beginning)
	return verdict(metav1.ConditionFalse, reason, sentence, lists...)
}

func (f *imageFindings) note(image ObservedImage, judged ImageVerdict) {
	if image.Admission == OwnerMismatch {
		f.mismatch = append(f.mismatch, image.Reference)
	}
	if image.Moved {
		f.moved = append(f.moved, image.Reference)
	}
	if judged.Warns {
		f.aging.add(image)
	}
	switch judged.Answer {
	case ImageStale:
		f.staleBy(image.Admission).add(image)
	case ImageTooYoung:
		f.young = append(f.young, image.Reference)
	case ImageFresh, ImageExempt:
	default:
		f.unknown = append(f.unknown, image.Reference)
		f.reasons = append(f.reasons, meaning(judged.Reason))
	}
}

func (f *imageFindings) staleBy(admission string) *aged {
	switch admission {
	case RanWithoutAdmission:
		return &f.unadmitted
	case string(v1alpha1.AdmittedEnteredUngoverned):
		return &f.entered
	case string(v1alpha1.AdmittedPreExisting):
		return &f.preExisting
	default:
		return &f.stale
	}
}

// meaning adds to a reason that says little by itself what it means.
func meaning(reason string) string {
	if reason == v1alpha1.ReasonNotInRegistry {
		return reason + ": loaded into the node by hand, or gone from the registry since"
	}
	return reason
}

func (f *imageFindings) verdict(count int) Verdict {
	no, unknown := metav1.ConditionFalse, metav1.ConditionUnknown
	switch {
	case count == 0:
		return verdict(unknown, v1alpha1.ReasonNoImage, "no workload object declares an image for these pods and no pod runs one")
	case len(f.mismatch) > 0:
		return verdict(no, v1alpha1.ReasonOwnerMismatch, "a pod runs %s, which its owner does not declare: delete the pod", f.mismatch)
	case len(f.unadmitted.names) > 0:
		return f.unadmitted.verdict(v1alpha1.ReasonRanWithoutAdmission, "stale image %s runs, and the gate never let it in")
	case len(f.stale.names) > 0:
		return f.stale.verdict(v1alpha1.ReasonImageStale, "stale: %s")
	case len(f.entered.names) > 0:
		return f.entered.verdict(v1alpha1.ReasonEnteredUngoverned, "stale and there before this LabWorkload selected it: %s")
	case len(f.preExisting.names) > 0:
		return f.preExisting.verdict(string(v1alpha1.AdmittedPreExisting), "stale and there before enforcement began: %s")
	case len(f.young) > 0:
		return verdict(no, v1alpha1.ReasonImageTooYoung, "younger than minAge: %s; wait, or go back to an older build", f.young)
	case len(f.unknown) > 0:
		return verdict(unknown, v1alpha1.ReasonImageAgeUnknown, "no age known for %s (%s)", f.unknown, f.reasons)
	default:
		return f.fresh()
	}
}

// fresh is the answer where no image is stale, too young or unknown: with a warning if one will be stale soon.
func (f *imageFindings) fresh() Verdict {
	reason, sentence := v1alpha1.ReasonImageFresh, "all images are fresh"
	var lists [][]string
	if len(f.aging.names) > 0 {
		reason = v1alpha1.ReasonImageSoonStale
		sentence, lists = f.aging.sentence(sentence + "; soon stale, as warnBefore has begun: %s")
	}
	if len(f.moved) > 0 {
		sentence, lists = sentence+"; the tag has moved since the pod was started: %s", append(lists, f.moved)
	}
	return verdict(metav1.ConditionTrue, reason, sentence, lists...)
}
