// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// factsOf answers from a table; of what is not in it nothing is known.
func factsOf(table map[string]ImageFacts) func(string) ImageFacts {
	return func(reference string) ImageFacts { return table[reference] }
}

func admittedAs(table map[string]v1alpha1.AdmissionReason) func(string) (v1alpha1.AdmissionReason, bool) {
	return func(reference string) (v1alpha1.AdmissionReason, bool) {
		reason, found := table[reference]
		return reason, found
	}
}

func images(references ...string) []TemplateImage {
	var template []TemplateImage
	for i, reference := range references {
		template = append(template, TemplateImage{Container: string(rune('a' + i)), Reference: reference})
	}
	return template
}

func with(change func(*ImageRequirement)) ImageRequirement {
	requirement := ninetyDays()
	change(&requirement)
	return requirement
}

var (
	fresh   = madeAt(today.Add(-day))
	stale   = madeAt(today.Add(-100 * day))
	unknown = ImageFacts{Unknown: v1alpha1.ReasonRegistryUnreachable, Detail: "registry.example does not answer"}
)

// rolloutTest is one write; the answer is told by the reasons with which images are admitted and by how much is said.
type rolloutTest struct {
	governing []Governing
	images    []TemplateImage
	running   []string
	admitted  map[string]v1alpha1.AdmissionReason
	facts     map[string]ImageFacts

	refusals, warnings int
	admit              map[string]v1alpha1.AdmissionReason
}

func (test rolloutTest) run(t *testing.T) {
	t.Helper()
	got := DecideRollout(RolloutQuestion{
		Governing: test.governing, Images: test.images, Running: test.running, Admitted: admittedAs(test.admitted), Facts: factsOf(test.facts), Now: today,
	})
	if got.Allowed != (test.refusals == 0) || len(got.Refusals) != test.refusals || len(got.Warnings) != test.warnings {
		t.Errorf("allowed %t, refusals %q, warnings %q; want %d and %d", got.Allowed, got.Refusals, got.Warnings, test.refusals, test.warnings)
	}
	var admit map[string]v1alpha1.AdmissionReason
	for _, image := range got.Admit {
		if admit == nil {
			admit = map[string]v1alpha1.AdmissionReason{}
		}
		admit[image.Reference] = image.Reason
	}
	if diff := cmp.Diff(test.admit, admit); diff != "" {
		t.Errorf("admitted (-want +got):\n%s", diff)
	}
}

type reasons = map[string]v1alpha1.AdmissionReason

func governedBy(requirements ...ImageRequirement) []Governing {
	var governing []Governing
	for i, requirement := range requirements {
		governing = append(governing, Governing{Name: "pathology/" + string(rune('a'+i)), Requirement: requirement})
	}
	return governing
}

func TestTheRolloutGateAnswersAsItsTableSays(t *testing.T) {
	t.Parallel()
	warnStale := with(func(r *ImageRequirement) { r.OnStale = v1alpha1.OnStaleWarn })
	warnUnknown := with(func(r *ImageRequirement) { r.OnUnknownAge = v1alpha1.OnStaleWarn })
	exempt := with(func(r *ImageRequirement) {
		r.Exempt = []v1alpha1.ImageExemption{{Pattern: "docker.io/library/lis", Reason: "vendor image", Expires: metav1.NewTime(today.Add(day))}}
	})
	known := map[string]ImageFacts{"lis:1": fresh, "lis:2": stale, "lis:3": unknown, "lis": fresh}
	deny := governedBy(ninetyDays())
	for name, test := range map[string]rolloutTest{
		"where no LabWorkload enforces nothing is refused and nothing recorded": {images: images("lis:2"), facts: known},
		"a template without images is allowed":                                  {governing: deny},
		"a fresh image comes in and is recorded":                                {governing: deny, images: images("lis:1"), facts: known, admit: reasons{"lis:1": "Fresh"}},
		"a stale image is refused":                                              {governing: deny, images: images("lis:2"), facts: known, refusals: 1},
		"an image of unknown age is refused under Deny":                         {governing: deny, images: images("lis:3"), facts: known, refusals: 1},
		"an image that nobody has asked for is of unknown age":                  {governing: deny, images: images("lis:4"), facts: known, refusals: 1},
		"a stale image is warned of and recorded under Warn": {
			governing: governedBy(warnStale), images: images("lis:2"), facts: known, warnings: 1, admit: reasons{"lis:2": "Warned"},
		},
		"Warn for stale images says nothing of unknown ones": {governing: governedBy(warnStale), images: images("lis:3"), facts: known, refusals: 1},
		"an unknown age is warned of and recorded under Warn": {
			governing: governedBy(warnUnknown), images: images("lis:3"), facts: known, warnings: 1, admit: reasons{"lis:3": "Warned"},
		},
		"Warn for unknown ages says nothing of stale images": {governing: governedBy(warnUnknown), images: images("lis:2"), facts: known, refusals: 1},
		"an exempt image comes in as Exempt":                 {governing: governedBy(exempt), images: images("lis:2"), facts: known, admit: reasons{"lis:2": "Exempt"}},
		"one stale image refuses the write, and nothing of it is recorded": {
			governing: deny, images: images("lis:1", "lis:2"), facts: known, refusals: 1,
		},
		"each image that is refused is told": {governing: deny, images: images("lis:2", "lis:3"), facts: known, refusals: 2},
		"an image in two containers is told and recorded once": {
			governing: governedBy(warnStale), images: images("lis:2", "lis:2"), facts: known, warnings: 1, admit: reasons{"lis:2": "Warned"},
		},
		"an admitted image stays admitted whatever its age, for the reason it was": {
			governing: deny, images: images("lis:2"), facts: known, admitted: reasons{"lis:2": "PreExisting"}, admit: reasons{"lis:2": "PreExisting"},
		},
		"an admitted image of the tag latest is not warned of again": {
			governing: deny, images: images("lis"), facts: known, admitted: reasons{"lis": "Fresh"}, admit: reasons{"lis": "Fresh"},
		},
		"what the old object declares goes on and has entered ungoverned": {
			governing: deny, images: images("lis:2"), facts: known, running: []string{"lis:2"}, admit: reasons{"lis:2": "EnteredUngoverned"},
		},
		"what is recorded comes before what runs": {
			governing: deny, images: images("lis:2"), facts: known, running: []string{"lis:2"}, admitted: reasons{"lis:2": "Audit"}, admit: reasons{"lis:2": "Audit"},
		},
		"a new stale image is refused beside one that runs": {
			governing: deny, images: images("lis:1", "lis:2"), running: []string{"lis:1"}, facts: known, refusals: 1,
		},
		"another tag of what runs is a new image": {governing: deny, images: images("lis:2"), running: []string{"lis:1"}, facts: known, refusals: 1},
		"the tag latest is warned of": {
			governing: deny, images: images("lis"), facts: known, warnings: 1, admit: reasons{"lis": "Fresh"},
		},
		"of two LabWorkloads the stricter counts": {
			governing: governedBy(warnStale, ninetyDays()), images: images("lis:2"), facts: known, refusals: 1, warnings: 1,
		},
		"both that refuse are told": {governing: governedBy(ninetyDays(), ninetyDays()), images: images("lis:2"), facts: known, refusals: 2},
		"exempt here and fresh there is Exempt": {
			governing: governedBy(exempt, ninetyDays()), images: images("lis:1"), facts: known, admit: reasons{"lis:1": "Exempt"},
		},
		"exempt here and warned of there is Warned": {
			governing: governedBy(exempt, warnStale), images: images("lis:2"), facts: known, warnings: 1, admit: reasons{"lis:2": "Warned"},
		},
		"exempt here and stale there is refused": {governing: governedBy(exempt, ninetyDays()), images: images("lis:2"), facts: known, refusals: 1},
		"a requirement that says nothing refuses": {
			governing: governedBy(ImageRequirement{}), images: images("lis:1"), facts: known, refusals: 1,
		},
		"a reference with white space may be let through and is never recorded": {
			governing: governedBy(warnUnknown), images: images("lis:1", "lis:9 evil.example/x:1"), facts: known, warnings: 1, admit: reasons{"lis:1": "Fresh"},
		},
		"a reference with white space that runs goes on and is never recorded": {
			governing: deny, images: images("lis:9\u3000evil.example/x:1"), running: []string{"lis:9\u3000evil.example/x:1"}, facts: known,
		},
		"a reference with white space is refused where unknown ages are": {governing: deny, images: images("lis:9\u2003evil.example/x:1"), facts: known, refusals: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

func TestAnAdmissionSaysContainerDigestReasonAndTime(t *testing.T) {
	t.Parallel()
	got := DecideRollout(RolloutQuestion{
		Governing: governedBy(ninetyDays()), Images: []TemplateImage{{"web", "lis:1", false}, {"init", "lis:1", true}, {"volume data", "data:1", false}}, Now: today,
		Facts: factsOf(map[string]ImageFacts{"lis:1": fresh, "data:1": fresh}),
	})
	now := metav1.NewTime(today.Truncate(time.Second))
	want := RolloutDecision{Allowed: true, NextChange: got.NextChange, Admit: []v1alpha1.AdmittedImage{
		{Reference: "data:1", Container: "volume data", Digest: someDigest, Time: now, Reason: v1alpha1.AdmittedFresh},
		{Reference: "lis:1", Container: "init", Digest: someDigest, Time: now, Reason: v1alpha1.AdmittedFresh},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

func TestWithoutAnythingToAskNothingIsKnown(t *testing.T) {
	t.Parallel()
	got := DecideRollout(RolloutQuestion{Governing: governedBy(ninetyDays()), Images: images("lis:1"), Now: today})
	if got.Allowed || len(got.Refusals) != 1 || !strings.Contains(got.Refusals[0], v1alpha1.ReasonNotResolved) {
		t.Errorf("got %+v, want one refusal for NotResolved", got)
	}
}

func TestTheZeroDecisionRefuses(t *testing.T) {
	t.Parallel()
	if (RolloutDecision{}).Allowed {
		t.Error("an empty decision allows")
	}
	if _, refused := admissionOf(ninetyDays(), ImageVerdict{}); !refused {
		t.Error("an empty verdict about an image is let in where unknown ages are refused")
	}
	for _, answer := range []string{"", ImageUnknown, ImageStale} {
		if _, refused := admissionOf(ImageRequirement{}, ImageVerdict{Answer: answer}); !refused {
			t.Errorf("an empty requirement lets an image in of which the answer is %q", answer)
		}
	}
}

func TestARefusalSaysEverythingThatOneNeedsToAct(t *testing.T) {
	t.Parallel()
	ask := func(reference string, facts ImageFacts, requirement ImageRequirement, last string) string {
		got := DecideRollout(RolloutQuestion{
			Governing: []Governing{{Name: "pathology/lis", Requirement: requirement}}, LastAdmitted: last, Now: today, Facts: func(string) ImageFacts { return facts },
			Images: []TemplateImage{{"web", reference, false}, {"init", reference, true}},
		})
		if len(got.Refusals) != 1 {
			t.Fatalf("%s: refusals %q, want one", reference, got.Refusals)
		}
		return got.Refusals[0]
	}
	for name, test := range map[string]struct{ got, want string }{
		"stale, with the way back": {
			ask("registry.example/lis:2", stale, ninetyDays(), "registry.example/lis:1"),
			"labguard: container init, web: image registry.example/lis:2 (" + someDigest + ") is stale: made 2026-08-15 (Config), 100 days ago; " +
				"LabWorkload pathology/lis allows 90 days; stale since 2026-11-13. No fresher build exists under its tag: build it anew and push it, or go back to registry.example/lis:1, which is admitted.",
		},
		"stale by digest, which is told once; a limit that is no whole number of days is told in hours": {
			ask("lis@"+someDigest, ImageFacts{Digest: someDigest, AnnotationCreated: today.Add(-101 * time.Hour)}, with(func(r *ImageRequirement) { r.MaxAge = 100 * time.Hour }), ""),
			"labguard: container init, web: image lis@" + someDigest + " is stale: made 2026-11-19 (Annotation), 4 days ago; " +
				"LabWorkload pathology/lis allows 100 hours; stale since 2026-11-23. Build it anew and push it.",
		},
		"stale by its history": {
			ask("lis:2", ImageFacts{Digest: someDigest, HistoryCreated: today.Add(-91 * day)}, ninetyDays(), ""),
			"labguard: container init, web: image lis:2 (" + someDigest + ") is stale: made 2026-08-24 (History), 91 days ago; " +
				"LabWorkload pathology/lis allows 90 days; stale since 2026-11-22. No fresher build exists under its tag: build it anew and push it.",
		},
		"unknown, with what the registry said": {
			ask("lis:3", unknown, ninetyDays(), "lis:1"),
			"labguard: container init, web: image lis:3 has an age that nobody can know (RegistryUnreachable: registry.example does not answer); " +
				"LabWorkload pathology/lis allows 90 days. Mend that and try again, or go back to lis:1, which is admitted.",
		},
		"unknown, when the registry said nothing": {
			ask("lis:3", ImageFacts{Unknown: v1alpha1.ReasonRegistryThrottled}, ninetyDays(), ""),
			"labguard: container init, web: image lis:3 has an age that nobody can know (RegistryThrottled); " +
				"LabWorkload pathology/lis allows 90 days. Mend that and try again.",
		},
		"unknown, since it was not asked for yet": {
			ask("lis:3", ImageFacts{}, ninetyDays(), ""),
			"labguard: container init, web: image lis:3 has an age that nobody can know (NotResolved: the registry has not been asked yet); " +
				"LabWorkload pathology/lis allows 90 days. Try again in a moment.",
		},
		"without a date": {
			ask("lis:3", madeAt(time.Unix(0, 0)), ninetyDays(), ""),
			"labguard: container init, web: image lis:3 (" + someDigest + ") has an age that nobody can know (ImplausibleDate: the image carries no plausible " +
				"creation date, as reproducible builds do); LabWorkload pathology/lis allows 90 days. Build it with its true creation date.",
		},
		"no reference at all, with a line end that would forge a second line": {
			ask("lis:3\nlabguard: allowed", fresh, ninetyDays(), ""),
			"labguard: container init, web: image lis:3?labguard: allowed (" + someDigest + ") has an age that nobody can know (InvalidReference: an image reference has " +
				"printable ASCII characters, no white space, and at most 1024 bytes); LabWorkload pathology/lis allows 90 days. Correct the reference.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Errorf("refusal (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAWarningOfAMutableTagSaysWhatToDo(t *testing.T) {
	t.Parallel()
	got := DecideRollout(RolloutQuestion{
		Governing: governedBy(ninetyDays()), Images: images("lis:latest"), Facts: func(string) ImageFacts { return fresh }, Now: today,
	})
	want := []string{"labguard: MutableTag: image lis:latest has no fixed tag: it is judged once, and what it means later is only reported; pin a version or a digest"}
	if diff := cmp.Diff(want, got.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func holding() ImageRequirement {
	requirement := ninetyDays()
	requirement.OnStale, requirement.OnUnknownAge = v1alpha1.OnStaleHold, v1alpha1.OnStaleHold
	return requirement
}

func TestAHoldIsAnAllowanceThatRecordsNothing(t *testing.T) {
	t.Parallel()
	old := ImageFacts{Digest: someDigest, ConfigCreated: today.Add(-200 * day)}
	question := func(cannot func() string, governing ...ImageRequirement) RolloutQuestion {
		return RolloutQuestion{
			Governing: governedBy(governing...), Images: images("lis:1", "new:1"), Now: today, CannotHold: cannot,
			Facts: factsOf(map[string]ImageFacts{"lis:1": old, "new:1": fresh}),
		}
	}
	can := func() string { return "" }
	for name, test := range map[string]struct {
		question       RolloutQuestion
		allowed, holds bool
		text           string
	}{
		"it is held":                          {question(can, holding()), true, true, "is stale"},
		"nobody knows how":                    {question(nil, holding()), false, false, "refused and not held"},
		"it cannot be held, which is said":    {question(func() string { return "it is a hook" }, holding()), false, false, "refused and not held: it is a hook."},
		"the stricter of two answers":         {question(can, holding(), ninetyDays()), false, false, "is stale"},
		"hold is stricter than warn":          {question(can, holding(), func() ImageRequirement { r := ninetyDays(); r.OnStale = v1alpha1.OnStaleWarn; return r }()), true, true, "is stale"},
		"an answer that nobody knows refuses": {question(can, func() ImageRequirement { r := ninetyDays(); r.OnStale = "Maybe"; return r }()), false, false, "is stale"},
	} {
		got := DecideRollout(test.question)
		texts := strings.Join(slices.Concat(got.Refusals, got.Holds), "\n")
		if got.Allowed != test.allowed || got.Held != test.holds || len(got.Admit) > 0 || !strings.Contains(texts, test.text) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestATooYoungImageMeetsTheSameAsAStaleOne(t *testing.T) {
	t.Parallel()
	requirement := holding()
	requirement.MinAge = 72 * time.Hour
	young := ImageFacts{Digest: someDigest, ConfigCreated: today.Add(-time.Hour)}
	question := RolloutQuestion{
		Governing: governedBy(requirement), Images: images("lis:1"), Now: today, CannotHold: func() string { return "" }, LastAdmitted: "lis:0",
		Facts: factsOf(map[string]ImageFacts{"lis:1": young}),
	}
	got := DecideRollout(question)
	if !got.Held || len(got.Holds) != 1 || !strings.Contains(got.Holds[0], "is too young") || !strings.Contains(got.Holds[0], "72 hours") && !strings.Contains(got.Holds[0], "3 days") ||
		!strings.Contains(got.Holds[0], "go back to lis:0") || !got.NextChange.Equal(young.ConfigCreated.Add(72*time.Hour)) {
		t.Fatalf("%+v", got)
	}
	question.Now = got.NextChange
	if got := DecideRollout(question); !got.Allowed || got.Held || len(got.Admit) != 1 || got.Admit[0].Reason != v1alpha1.AdmittedFresh {
		t.Errorf("at that very instant: %+v", got)
	}
}

func TestARefusalNamesAFresherBuildOfItsTag(t *testing.T) {
	t.Parallel()
	pinned := "registry.example/lis:1@" + someDigest
	question := RolloutQuestion{
		Governing: governedBy(ninetyDays()), Images: images(pinned), Now: today,
		Facts:   factsOf(map[string]ImageFacts{pinned: {Digest: someDigest, ConfigCreated: today.Add(-200 * day)}}),
		Fresher: func(string) string { return "sha256:newer" },
	}
	if got := DecideRollout(question).Refusals; len(got) != 1 || !strings.Contains(got[0], "Its tag means a fresher build by now, sha256:newer: use that") {
		t.Errorf("%q", got)
	}
	question.Fresher = func(string) string { return "" }
	if got := DecideRollout(question).Refusals; len(got) != 1 || !strings.Contains(got[0], "Build it anew and push it") || strings.Contains(got[0], "under its tag") {
		t.Errorf("%q", got)
	}
}
