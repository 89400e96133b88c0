// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

func observed(reference string, facts ImageFacts, admission v1alpha1.AdmissionReason) ObservedImage {
	return ObservedImage{Reference: reference, Facts: facts, Admission: string(admission), Declared: true, Pods: 1}
}

func moved(image ObservedImage) ObservedImage {
	image.Moved = true
	return image
}

func withFresher(image ObservedImage, fresher string) ObservedImage {
	image.Fresher = fresher
	return image
}

func TestImagesFreshNamesTheWorstFirst(t *testing.T) {
	t.Parallel()
	var (
		isFresh    = observed("fresh:1", fresh, v1alpha1.AdmittedFresh)
		isSoon     = observed("soon:1", madeAt(today.Add(-80*day)), v1alpha1.AdmittedFresh)
		isUnknown  = observed("unknown:1", unknown, v1alpha1.AdmittedWarned)
		isStale    = observed("stale:1", stale, v1alpha1.AdmittedFresh)
		isWarned   = observed("warned:1", stale, v1alpha1.AdmittedWarned)
		isEntered  = observed("entered:1", stale, v1alpha1.AdmittedEnteredUngoverned)
		isOld      = observed("old:1", stale, v1alpha1.AdmittedPreExisting)
		isSmuggled = observed("smuggled:1", stale, RanWithoutAdmission)
		isMismatch = observed("other:1", fresh, OwnerMismatch)
		isYoung    = observed("young:1", madeAt(today.Add(-time.Hour)), v1alpha1.AdmittedFresh)
		otherStale = observed("other-stale:1", stale, v1alpha1.AdmittedFresh)
		newcomer   = observed("newcomer:1", fresh, RanWithoutAdmission)
	)
	for name, test := range map[string]struct {
		images  []ObservedImage
		answer  metav1.ConditionStatus
		reason  string
		message string
	}{
		"nothing declared and nothing running is Unknown": {
			nil, metav1.ConditionUnknown, v1alpha1.ReasonNoImage, "no workload object declares an image for these pods and no pod runs one",
		},
		"all fresh is True": {[]ObservedImage{isFresh}, metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh"},
		"soon stale is True and said": {
			[]ObservedImage{isFresh, isSoon}, metav1.ConditionTrue, v1alpha1.ReasonImageSoonStale,
			"all images are fresh; soon stale, as warnBefore has begun: soon:1",
		},
		"soon stale and no fresher build is said before it is too late": {
			[]ObservedImage{isFresh, withFresher(isSoon, FresherNone)}, metav1.ConditionTrue, v1alpha1.ReasonImageSoonStale,
			"all images are fresh; soon stale, as warnBefore has begun: soon:1; no fresher build exists: build it anew",
		},
		"a tag that has moved is True and said": {
			[]ObservedImage{moved(isFresh)}, metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh; the tag has moved since the pod was started: fresh:1",
		},
		"both are said": {
			[]ObservedImage{moved(isFresh), isSoon}, metav1.ConditionTrue, v1alpha1.ReasonImageSoonStale,
			"all images are fresh; soon stale, as warnBefore has begun: soon:1; the tag has moved since the pod was started: fresh:1",
		},
		"a fresh image that came in without the gate is fresh": {[]ObservedImage{newcomer}, metav1.ConditionTrue, v1alpha1.ReasonImageFresh, "all images are fresh"},
		"one unknown age is Unknown with its reason": {
			[]ObservedImage{isFresh, isSoon, isUnknown}, metav1.ConditionUnknown, v1alpha1.ReasonImageAgeUnknown, "no age known for unknown:1 (RegistryUnreachable)",
		},
		"one stale image is False whatever is unknown": {
			[]ObservedImage{isUnknown, isStale, isFresh}, metav1.ConditionFalse, v1alpha1.ReasonImageStale, "stale: stale:1",
		},
		"what nobody has in a registry is said to be": {
			[]ObservedImage{observed("loaded:1", ImageFacts{Unknown: v1alpha1.ReasonNotInRegistry}, "")}, metav1.ConditionUnknown, v1alpha1.ReasonImageAgeUnknown,
			"no age known for loaded:1 (NotInRegistry: loaded into the node by hand, or gone from the registry since)",
		},
		"one that is too young is False whatever is unknown": {
			[]ObservedImage{isUnknown, isYoung, isFresh}, metav1.ConditionFalse, v1alpha1.ReasonImageTooYoung,
			"younger than minAge: young:1; wait, or go back to an older build",
		},
		"one that is stale comes before one that is too young, which waiting mends": {
			[]ObservedImage{isYoung, isOld}, metav1.ConditionFalse, "PreExisting", "stale and there before enforcement began: old:1",
		},
		"a stale image with a fresher build is rolled out again": {
			[]ObservedImage{withFresher(isStale, someDigest)}, metav1.ConditionFalse, v1alpha1.ReasonImageStale,
			"stale: stale:1; a fresher build exists: roll out again, so that it is pulled",
		},
		"one without is built anew": {
			[]ObservedImage{withFresher(isOld, FresherNone)}, metav1.ConditionFalse, "PreExisting",
			"stale and there before enforcement began: old:1; no fresher build exists: build it anew",
		},
		"where some have one, each is named": {
			[]ObservedImage{isStale, withFresher(isWarned, someDigest), withFresher(otherStale, FresherNone)}, metav1.ConditionFalse, v1alpha1.ReasonImageStale,
			"stale: other-stale:1, stale:1, warned:1; a fresher build exists of warned:1: roll out again; no fresher build exists of other-stale:1: build anew",
		},
		"an image that was warned of is stale all the same": {[]ObservedImage{isWarned}, metav1.ConditionFalse, v1alpha1.ReasonImageStale, "stale: warned:1"},
		"what was there before enforcement is said to be": {
			[]ObservedImage{isOld, isUnknown}, metav1.ConditionFalse, "PreExisting", "stale and there before enforcement began: old:1",
		},
		"what entered ungoverned never counts as compliant": {
			[]ObservedImage{isOld, isEntered}, metav1.ConditionFalse, v1alpha1.ReasonEnteredUngoverned, "stale and there before this LabWorkload selected it: entered:1",
		},
		"a stale image that came since is worse": {[]ObservedImage{isOld, isEntered, isStale}, metav1.ConditionFalse, v1alpha1.ReasonImageStale, "stale: stale:1"},
		"one that the gate never saw is worse still": {
			[]ObservedImage{isStale, isSmuggled}, metav1.ConditionFalse, v1alpha1.ReasonRanWithoutAdmission, "stale image smuggled:1 runs, and the gate never let it in",
		},
		"a pod that runs what its owner does not declare is the worst, fresh or not": {
			[]ObservedImage{isSmuggled, isMismatch}, metav1.ConditionFalse, v1alpha1.ReasonOwnerMismatch, "a pod runs other:1, which its owner does not declare: delete the pod",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := JudgeImages(with(func(r *ImageRequirement) { r.MinAge = 2 * time.Hour }), test.images, today)
			if got.Status() != test.answer || got.Reason != test.reason || got.Message != test.message || got.Count != len(test.images) {
				t.Errorf("got %s/%s %q of %d, want %s/%s %q", got.Status(), got.Reason, got.Message, got.Count, test.answer, test.reason, test.message)
			}
		})
	}
}

func TestAnEntryOfTheStatusSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	other := "sha256:" + strings.Repeat("0b", 32)
	created := today.Add(-10 * day)
	facts := madeAt(created)
	facts.Platform = Platform{OS: "linux", Architecture: "arm64"}
	report := JudgeImages(ninetyDays(), []ObservedImage{
		{Reference: "lis:1", Running: "docker.io/library/lis@" + other, Declared: true, Pods: 3, Admission: "Fresh", Facts: facts, Moved: true},
		{Reference: "gateway:1", Facts: unknown},
	}, today)
	madeOn, staleOn := metav1.NewTime(created.Truncate(time.Second)), metav1.NewTime(created.Add(90*day).Truncate(time.Second))
	want := []v1alpha1.ImageStatus{
		{Reference: "gateway:1", Answer: ImageUnknown, Reason: v1alpha1.ReasonRegistryUnreachable},
		{
			Reference: "lis:1", Digest: other, Platform: "linux/arm64", Answer: ImageFresh, Reason: v1alpha1.ReasonRunsOtherDigest, Evidence: "Config",
			Admission: "Fresh", Declared: true, Pods: 3, Created: &madeOn, StaleAt: &staleOn,
		},
	}
	if diff := cmp.Diff(want, report.Images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if !report.Oldest.Equal(created) || !report.NextStale.Equal(created.Add(90*day)) || !report.NextChange.Equal(created.Add(76*day)) {
		t.Errorf("oldest %s, next stale %s, next change %s", report.Oldest, report.NextStale, report.NextChange)
	}
}

func TestWhatIsTooYoungChangesAtTheInstantOfItsMinAge(t *testing.T) {
	t.Parallel()
	created := today.Add(-time.Hour)
	report := JudgeImages(with(func(r *ImageRequirement) { r.MinAge = 72 * time.Hour }), []ObservedImage{observed("lis:1", madeAt(created), "")}, today)
	if got := report.Images[0]; got.Answer != ImageTooYoung || got.Reason != v1alpha1.ReasonImageTooYoung || report.Answers[ImageTooYoung] != 1 {
		t.Errorf("got %+v, %v", got, report.Answers)
	}
	if !report.NextChange.Equal(created.Add(72*time.Hour)) || !report.NextStale.Equal(created.Add(90*day)) {
		t.Errorf("next change %s, next stale %s", report.NextChange, report.NextStale)
	}
}

func TestTheStatusSaysWhetherThereIsAFresherBuildWhereThatMatters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image ObservedImage
		want  string
	}{
		"a stale image":                    {observed("lis:1", stale, ""), "sha256:0b"},
		"one that is soon stale":           {observed("lis:1", madeAt(today.Add(-80*day)), ""), "sha256:0b"},
		"one whose tag has moved":          {moved(observed("lis:1", fresh, "")), "sha256:0b"},
		"not a fresh one":                  {observed("lis:1", fresh, ""), ""},
		"nor one of which no age is known": {observed("lis:1", unknown, ""), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := JudgeImages(ninetyDays(), []ObservedImage{withFresher(test.image, "sha256:0b")}, today).Images[0].Fresher; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheStatusListsTheWorstOfManyImages(t *testing.T) {
	t.Parallel()
	var many []ObservedImage
	requirement := with(func(r *ImageRequirement) {
		r.Exempt = []v1alpha1.ImageExemption{{Pattern: "docker.io/vendor/*", Expires: metav1.NewTime(today.Add(day))}}
	})
	for i := range 30 {
		many = append(many,
			observed(fmt.Sprintf("vendor/exempt:%02d", i), stale, "Exempt"),
			observed(fmt.Sprintf("fresh:%02d", i), madeAt(today.Add(-time.Duration(i)*day)), "Fresh"),
			observed(fmt.Sprintf("unknown:%02d", i), unknown, "Warned"))
	}
	many = append(many, observed("older:1", madeAt(today.Add(-200*day)), "Fresh"), observed("old:1", madeAt(today.Add(-100*day)), "Fresh"))
	got := JudgeImages(requirement, many, today)
	if got.Count != 92 || len(got.Images) != maxReported {
		t.Fatalf("%d of %d images are listed, want 50 of 92", len(got.Images), got.Count)
	}
	var order []string
	for _, at := range []int{0, 1, 2, 31, 32, 49} {
		order = append(order, got.Images[at].Reference)
	}
	if diff := cmp.Diff([]string{"older:1", "old:1", "unknown:00", "unknown:29", "fresh:29", "fresh:12"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestThePreviewNamesWhatANewRolloutCouldNotBring(t *testing.T) {
	t.Parallel()
	running := observed("pod:1", stale, "")
	running.Declared = false
	other := observed("stale:1", stale, "")
	other.Running = "stale@" + someDigest
	images := []ObservedImage{
		observed("stale:1", stale, ""), other, observed("unknown:1", unknown, ""), observed("fresh:1", fresh, ""), running,
		observed("recorded:1", stale, v1alpha1.AdmittedAudit), observed("smuggled:1", stale, RanWithoutAdmission), observed("mismatch:1", stale, OwnerMismatch),
	}
	want := []string{"mismatch:1: ImageStale", "smuggled:1: ImageStale", "stale:1: ImageStale", "unknown:1: RegistryUnreachable"}
	if diff := cmp.Diff(want, JudgeImages(ninetyDays(), images, today).Refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	lax := with(func(r *ImageRequirement) { r.OnStale, r.OnUnknownAge = v1alpha1.OnStaleWarn, v1alpha1.OnStaleWarn })
	if got := JudgeImages(lax, images, today).Refused; len(got) > 0 {
		t.Errorf("a LabWorkload that only warns would refuse %q", got)
	}
}

func TestAnImageFromAHostileRegistryFitsTheStatus(t *testing.T) {
	t.Parallel()
	facts := madeAt(today)
	facts.Digest, facts.Platform = strings.Repeat("d", 5000), Platform{OS: strings.Repeat("o", 5000), Architecture: "\x1b[31m"}
	got := JudgeImages(ninetyDays(), []ObservedImage{{Reference: strings.Repeat("r", 5000), Facts: facts, Pods: -1}}, today).Images[0]
	if len(got.Reference) > 1024 || len(got.Digest) > 256 || len(got.Platform) > 64 || got.Pods < 0 {
		t.Errorf("the API would refuse this status: %+v", got)
	}
}

// someImages draws what one LabWorkload may select, doubles included.
func someImages() *rapid.Generator[[]ObservedImage] {
	admissions := []string{"", "Fresh", "Warned", "PreExisting", "Audit", "EnteredUngoverned", RanWithoutAdmission, OwnerMismatch}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ObservedImage {
		return ObservedImage{
			Reference: someReference().Draw(t, "reference") + rapid.SampledFrom([]string{"", strings.Repeat("é", 700)}).Draw(t, "length"),
			Running:   rapid.SampledFrom([]string{"", "lis@sha256:0a", "lis@sha256:0b"}).Draw(t, "running"), Declared: rapid.Bool().Draw(t, "declared"),
			Pods: rapid.IntRange(0, 3).Draw(t, "pods"), Admission: rapid.SampledFrom(admissions).Draw(t, "admission"),
			Facts: someFacts().Draw(t, "facts"), Moved: rapid.Bool().Draw(t, "moved"), Fresher: rapid.SampledFrom([]string{"", FresherNone, "sha256:0b"}).Draw(t, "fresher"),
		}
	}), 0, 120)
}

func TestPropertyAReportIsBoundedAndDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, seen, now := someRequirementWithMinAge().Draw(t, "requirement"), someImages().Draw(t, "images"), instants().Draw(t, "now")
		report := JudgeImages(requirement, seen, now)
		if diff := cmp.Diff(report, JudgeImages(requirement, rapid.Permutation(seen).Draw(t, "shuffled"), now)); diff != "" {
			t.Fatalf("another report in another order:\n%s", diff)
		}
		encoded, err := json.Marshal(report.Images)
		if err != nil || len(encoded) > 64<<10 || len(report.Images) != min(len(seen), maxReported) {
			t.Fatalf("%d of %d images in %d bytes, %v", len(report.Images), len(seen), len(encoded), err)
		}
		for _, text := range report.Refused {
			if len(text) > 1100 {
				t.Fatalf("an entry of the preview has %d bytes", len(text))
			}
		}
		requireSound(t, report.Verdict)
	})
}

func TestPropertyAReportSaysWhenItChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, seen, now := someRequirementWithMinAge().Draw(t, "requirement"), someImages().Draw(t, "images"), instants().Draw(t, "now")
		report := JudgeImages(requirement, seen, now)
		until := report.NextChange.Add(-1)
		if report.NextChange.IsZero() {
			until = now.Add(1000 * day)
		}
		if diff := cmp.Diff(report, JudgeImages(requirement, seen, until)); diff != "" {
			t.Fatalf("said at %s to change at %s, and is another at %s:\n%s", now, report.NextChange, until, diff)
		}
		if !report.NextStale.IsZero() && !report.NextStale.After(now) {
			t.Fatalf("the next image goes stale at %s, which is not after %s", report.NextStale, now)
		}
	})
}

func TestPropertyOneMoreImageNeverMakesTheAnswerBetter(t *testing.T) {
	t.Parallel()
	rank := map[metav1.ConditionStatus]int{metav1.ConditionTrue: 0, metav1.ConditionUnknown: 1, metav1.ConditionFalse: 2}
	rapid.Check(t, func(t *rapid.T) {
		requirement, seen := someRequirementWithMinAge().Draw(t, "requirement"), someImages().Draw(t, "images")
		if len(seen) < 2 {
			return
		}
		fewer, more := JudgeImages(requirement, seen[1:], today), JudgeImages(requirement, seen, today)
		if rank[more.Status()] < rank[fewer.Status()] {
			t.Fatalf("%s/%s became %s/%s by one more image", fewer.Status(), fewer.Reason, more.Status(), more.Reason)
		}
	})
}

func TestSameContentSinceIsReportedWhereItIsEarlierThanTheImageSays(t *testing.T) {
	t.Parallel()
	created := today.Add(-10 * day)
	for name, test := range map[string]struct {
		since time.Time
		want  bool
	}{
		"files of an older image":        {created.Add(-day), true},
		"not files that are just as old": {created, false},
		"not files that were seen later": {created.Add(day), false},
		"nothing where nothing is known": {time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := madeAt(created)
			facts.SameContentSince = test.since
			got := JudgeImages(ninetyDays(), []ObservedImage{observed("lis:1", facts, "")}, today).Images[0].SameContentSince
			if (got != nil) != test.want || test.want && !got.Time.Equal(test.since.Truncate(time.Second)) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestPropertySameContentSinceDecidesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, seen, now := someRequirementWithMinAge().Draw(t, "requirement"), someImages().Draw(t, "images"), instants().Draw(t, "now")
		without := JudgeImages(requirement, seen, now)
		for i := range seen {
			seen[i].Facts.SameContentSince = instants().Draw(t, "since")
		}
		with := JudgeImages(requirement, seen, now)
		for i := range with.Images {
			with.Images[i].SameContentSince = nil
		}
		sorted := func(report ImagesReport) ImagesReport {
			slices.SortFunc(report.Images, byUrgency)
			return report
		}
		if diff := cmp.Diff(sorted(without), sorted(with)); diff != "" {
			t.Fatalf("files that are older than they say changed the report:\n%s", diff)
		}
	})
}
