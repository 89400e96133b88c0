// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

// someQuestion draws a write with everything that may decide it.
func someQuestion() *rapid.Generator[RolloutQuestion] {
	admissions := []v1alpha1.AdmissionReason{"", "", v1alpha1.AdmittedFresh, v1alpha1.AdmittedPreExisting, v1alpha1.AdmittedAudit, v1alpha1.AdmittedExempt}
	return rapid.Custom(func(t *rapid.T) RolloutQuestion {
		question := RolloutQuestion{
			Running: rapid.SliceOfN(someReference(), 0, 3).Draw(t, "running"), LastAdmitted: rapid.SampledFrom([]string{"", "lis:0", "\xff\n"}).Draw(t, "last"), Now: today,
		}
		for i, requirement := range rapid.SliceOfN(someRequirement(), 0, 3).Draw(t, "governing") {
			question.Governing = append(question.Governing, Governing{Name: "ns/" + string(rune('a'+i)), Requirement: requirement})
		}
		facts, admitted := map[string]ImageFacts{}, map[string]v1alpha1.AdmissionReason{}
		for _, reference := range rapid.SliceOfN(someReference(), 0, 6).Draw(t, "images") {
			container := rapid.SampledFrom([]string{"web", "db", "init", "volume data", "\x00"}).Draw(t, "container")
			question.Images = append(question.Images, TemplateImage{Container: container, Reference: reference})
			facts[reference] = someFacts().Draw(t, "facts")
			if reason := rapid.SampledFrom(admissions).Draw(t, "admitted"); reason != "" {
				admitted[reference] = reason
			}
		}
		question.Facts, question.Admitted = factsOf(facts), admittedAs(admitted)
		return question
	})
}

func TestPropertyTheOrderAndNumberOfContainersNeverDecide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		question := someQuestion().Draw(t, "question")
		other := question
		other.Images = rapid.Permutation(slices.Concat(question.Images, question.Images)).Draw(t, "doubled and shuffled")
		other.Governing = rapid.Permutation(question.Governing).Draw(t, "governing in another order")
		if diff := cmp.Diff(DecideRollout(question), DecideRollout(other)); diff != "" {
			t.Fatalf("another decision:\n%s", diff)
		}
	})
}

func TestPropertyOneMoreLabWorkloadNeverTurnsARefusalIntoAnAllowance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		question := someQuestion().Draw(t, "question")
		before := DecideRollout(question)
		more := Governing{Name: "ns/more", Requirement: someRequirement().Draw(t, "more")}
		question.Governing = append(slices.Clone(question.Governing), more)
		if after := DecideRollout(question); after.Allowed && !before.Allowed {
			t.Fatalf("refused for %q, and allowed once %+v governs too", before.Refusals, more)
		}
	})
}

func TestPropertyWhatIsAdmittedOrRunsIsNeverRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		question := someQuestion().Draw(t, "question")
		harmless := func(image TemplateImage) bool {
			_, admitted := question.Admitted(image.Reference)
			return admitted || slices.Contains(question.Running, image.Reference)
		}
		question.Images = slices.DeleteFunc(question.Images, func(image TemplateImage) bool { return !harmless(image) })
		question.Facts = func(reference string) ImageFacts {
			t.Fatalf("asked for facts about %q, which was let in before", reference)
			return ImageFacts{}
		}
		if got := DecideRollout(question); !got.Allowed || len(got.Refusals) > 0 || len(got.Warnings) > 0 {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestPropertyADecisionIsWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		question := someQuestion().Draw(t, "question")
		got := DecideRollout(question)
		if got.Allowed != (len(got.Refusals) == 0) {
			t.Fatalf("allowed %t with refusals %q", got.Allowed, got.Refusals)
		}
		valid := map[string]bool{}
		for _, image := range question.Images {
			if ValidReference(image.Reference) {
				valid[image.Reference] = true
			}
		}
		var list []string
		for _, image := range got.Admit {
			list = append(list, image.Reference)
			if image.Reason == "" || image.Time.IsZero() || image.Container == "" {
				t.Fatalf("an admission without reason, time or container: %+v", image)
			}
		}
		want := slices.Sorted(maps.Keys(valid))
		if !got.Allowed || len(question.Governing) == 0 {
			want = nil
		}
		if diff := cmp.Diff(want, strings.Fields(strings.Join(list, " ")), cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Fatalf("the list of admitted references reads back as another (-want +got):\n%s", diff)
		}
		for _, text := range slices.Concat(got.Refusals, got.Warnings) {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x1b\x00") || !strings.HasPrefix(text, "labguard: ") {
				t.Fatalf("a text that spoils a terminal, a log or a header: %q", text)
			}
		}
	})
}

func TestPropertyAsTimeGoesByNoRefusalBecomesAnAllowanceForAge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, facts := someRequirement().Draw(t, "requirement"), someFacts().Draw(t, "facts")
		requirement.OnUnknownAge = v1alpha1.OnStaleWarn
		decide := func(now time.Time) RolloutDecision {
			return DecideRollout(RolloutQuestion{
				Governing: governedBy(requirement), Images: images("registry.example/vendor/lis:1"), Facts: func(string) ImageFacts { return facts }, Now: now,
			})
		}
		first := instants().Draw(t, "first")
		second := first.Add(time.Duration(rapid.Int64Range(0, int64(500*day)).Draw(t, "later")))
		if !decide(first).Allowed && decide(second).Allowed {
			t.Fatalf("refused at %s and allowed at %s", first, second)
		}
	})
}
