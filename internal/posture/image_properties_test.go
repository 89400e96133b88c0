// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

// instants draws around the edges that count rather than anywhere in time.
func instants() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		edge := rapid.SampledFrom([]time.Time{
			{}, time.Unix(0, 0), earliestPlausible, today.Add(-100 * day), today.Add(-90 * day), today.Add(-10 * day), today,
			today.Add(clockSkew), today.Add(40 * day), today.Add(400 * day),
		}).Draw(t, "edge")
		offset := rapid.SampledFrom([]time.Duration{0, 1, -1, time.Second, -time.Second, clockSkew, -clockSkew, 13 * time.Hour, -5 * day}).Draw(t, "offset")
		return edge.Add(offset)
	})
}

func someFacts() *rapid.Generator[ImageFacts] {
	return rapid.Custom(func(t *rapid.T) ImageFacts {
		facts := ImageFacts{
			ConfigCreated: instants().Draw(t, "config"), HistoryCreated: instants().Draw(t, "history"), AnnotationCreated: instants().Draw(t, "annotation"),
			Unknown: rapid.SampledFrom([]string{"", "", "", "", v1alpha1.ReasonRegistryThrottled}).Draw(t, "unknown"),
		}
		if rapid.IntRange(0, 9).Draw(t, "resolved") > 0 {
			facts.Digest = someDigest
		}
		return facts
	})
}

func someRequirement() *rapid.Generator[ImageRequirement] {
	lengths := []time.Duration{0, 1, time.Hour, 14 * day, 30 * day, 90 * day, 3650 * day}
	answers := []v1alpha1.OnStale{v1alpha1.OnStaleDeny, v1alpha1.OnStaleWarn, ""}
	return rapid.Custom(func(t *rapid.T) ImageRequirement {
		requirement := ImageRequirement{
			MaxAge: rapid.SampledFrom(lengths).Draw(t, "maxAge"), OnStale: rapid.SampledFrom(answers).Draw(t, "onStale"),
			OnUnknownAge: rapid.SampledFrom(answers).Draw(t, "onUnknownAge"),
		}
		requirement.WarnBefore = min(requirement.MaxAge, rapid.SampledFrom(lengths).Draw(t, "warnBefore"))
		for _, pattern := range []string{"registry.example/vendor/*", "registry.example/vendor/lis"} {
			if rapid.Bool().Draw(t, "exempt") {
				expires := metav1.NewTime(instants().Draw(t, "expires"))
				requirement.Exempt = append(requirement.Exempt, v1alpha1.ImageExemption{Pattern: pattern, Reason: "because of " + pattern, Expires: expires})
			}
		}
		return requirement
	})
}

// someRequirementWithMinAge may ask for a minimum age as well.
func someRequirementWithMinAge() *rapid.Generator[ImageRequirement] {
	return rapid.Custom(func(t *rapid.T) ImageRequirement {
		requirement := someRequirement().Draw(t, "requirement")
		requirement.MinAge = min(requirement.MaxAge, rapid.SampledFrom([]time.Duration{0, 0, 1, time.Hour, 14 * day, 90 * day}).Draw(t, "minAge"))
		requirement.OnStale = rapid.SampledFrom([]v1alpha1.OnStale{requirement.OnStale, v1alpha1.OnStaleHold}).Draw(t, "orHold")
		return requirement
	})
}

// someReference draws few references, so that they meet; some are no references at all.
func someReference() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{
		"registry.example/vendor/lis:1", "registry.example/vendor/gateway:1", "registry.example/lis:1", "registry.example/lis:2", "nginx", "lis:latest",
		"lis@" + someDigest, "lis:1 evil.example/x:1", "lis:1\u3000evil.example/x:1", "\xff\x1b[31m",
	})
}

func TestPropertyAStaleImageNeverBecomesFreshAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, reference, facts := someRequirementWithMinAge().Draw(t, "requirement"), someReference().Draw(t, "reference"), someFacts().Draw(t, "facts")
		first, second := instants().Draw(t, "first"), instants().Draw(t, "second")
		if second.Before(first) {
			first, second = second, first
		}
		earlier, later := JudgeImage(requirement, reference, facts, first), JudgeImage(requirement, reference, facts, second)
		if earlier.Answer == ImageStale && later.Answer != ImageStale {
			t.Fatalf("stale at %s and %s at %s", first, later.Answer, second)
		}
		if earlier.Answer == ImageFresh && earlier.Warns && later.Answer == ImageFresh && !later.Warns {
			t.Fatalf("soon stale at %s and no more at %s", first, second)
		}
	})
}

func TestPropertyNextChangeIsTheVeryInstantOfTheNextChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, reference, facts := someRequirementWithMinAge().Draw(t, "requirement"), someReference().Draw(t, "reference"), someFacts().Draw(t, "facts")
		now, later := instants().Draw(t, "now"), instants().Draw(t, "later")
		verdict := JudgeImage(requirement, reference, facts, now)
		same := func(at time.Time) {
			if diff := cmp.Diff(verdict, JudgeImage(requirement, reference, facts, at)); diff != "" {
				t.Fatalf("said at %s to change at %s, and is another at %s:\n%s", now, verdict.NextChange, at, diff)
			}
		}
		if verdict.NextChange.IsZero() {
			if later.After(now) {
				same(later)
			}
			return
		}
		if !verdict.NextChange.After(now) {
			t.Fatalf("the next change at %s is not after %s", verdict.NextChange, now)
		}
		same(verdict.NextChange.Add(-1))
		if later.After(now) && later.Before(verdict.NextChange) {
			same(later)
		}
		if after := JudgeImage(requirement, reference, facts, verdict.NextChange); after.Answer == verdict.Answer && after.Warns == verdict.Warns {
			t.Fatalf("nothing changed at %s: still %s", verdict.NextChange, after.Answer)
		}
	})
}

func TestPropertyAStricterLimitNeverMakesAnImageFresher(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, facts, now := someRequirementWithMinAge().Draw(t, "requirement"), someFacts().Draw(t, "facts"), instants().Draw(t, "now")
		stricter := requirement
		stricter.MaxAge = time.Duration(rapid.Int64Range(0, int64(requirement.MaxAge)).Draw(t, "maxAge"))
		lax, strict := JudgeImage(requirement, "a:1", facts, now), JudgeImage(stricter, "a:1", facts, now)
		if lax.Answer == ImageStale && strict.Answer != ImageStale {
			t.Fatalf("stale with %s, %s with %s", requirement.MaxAge, strict.Answer, stricter.MaxAge)
		}
	})
}

// What the gate would do with an image that it has not let in yet, and what the report says of that image, are one answer at any instant.
func TestPropertyTheGateAndTheReportGiveOneAnswer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		requirement, reference, facts := someRequirementWithMinAge().Draw(t, "requirement"), someReference().Draw(t, "reference"), someFacts().Draw(t, "facts")
		gate := func(at time.Time) (letIn bool) {
			decision := DecideRollout(RolloutQuestion{
				Governing: governedBy(requirement), Images: images(reference), Facts: func(string) ImageFacts { return facts }, Now: at,
			})
			return decision.Allowed && len(decision.Admit) == 1 && decision.Admit[0].Reason != v1alpha1.AdmittedWarned
		}
		report := func(at time.Time) ImagesReport {
			return JudgeImages(requirement, []ObservedImage{{Reference: reference, Facts: facts, Declared: true}}, at)
		}
		agree := func(at time.Time) ImagesReport {
			said := report(at)
			fine := said.Images[0].Answer == ImageFresh || said.Images[0].Answer == ImageExempt
			if fine != gate(at) {
				t.Fatalf("at %s the report says %s/%s and the gate lets it in: %t", at, said.Images[0].Answer, said.Images[0].Reason, gate(at))
			}
			return said
		}
		now := instants().Draw(t, "now")
		said := agree(now)
		until := said.NextChange
		if until.IsZero() {
			until = now.Add(1000 * day)
		}
		between := now.Add(time.Duration(rapid.Int64Range(0, int64(until.Sub(now))-1).Draw(t, "between")))
		for _, at := range []time.Time{between, until.Add(-1)} {
			if diff := cmp.Diff(said, agree(at)); diff != "" {
				t.Fatalf("said at %s to change at %s, and is another at %s:\n%s", now, said.NextChange, at, diff)
			}
		}
		if after := agree(until); !said.NextChange.IsZero() && after.Reason == said.Reason && after.Images[0].Reason == said.Images[0].Reason {
			t.Fatalf("nothing changed at %s: still %s", until, after.Reason)
		}
	})
}
