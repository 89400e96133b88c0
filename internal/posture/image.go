// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Answers about the age of one image.
const (
	ImageFresh    = "Fresh"
	ImageStale    = "Stale"
	ImageTooYoung = "TooYoung"
	ImageUnknown  = "Unknown"
	ImageExempt   = "Exempt"
)

const (
	defaultWarnBefore = 336 * time.Hour
	// clockSkew is how far in the future a creation time may lie and still be believed.
	clockSkew = 10 * time.Minute
)

// earliestPlausible is the instant before which a creation time is a placeholder, not a date: reproducible builds
// (distroless, ko, Bazel, Nix, buildpacks) carry the year 0, 1970 or 1980 on purpose.
var earliestPlausible = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// ImageRequirement is the effective requirement on the age of images.
type ImageRequirement struct {
	// MaxAge is the age from which an image is stale; WarnBefore is how long before that it is reported.
	MaxAge, WarnBefore time.Duration
	// MinAge is the age below which an image is too young; zero: none is.
	MinAge time.Duration
	// OnStale and OnUnknownAge say what a rollout that brings such an image meets.
	OnStale, OnUnknownAge v1alpha1.OnStale
	// Exempt lists images that are not judged.
	Exempt []v1alpha1.ImageExemption
}

// NewImageRequirement reads the requirement off a spec. A duration that cannot be parsed (the API server refuses it) leaves MaxAge
// zero, so that every image is stale rather than none.
func NewImageRequirement(spec *v1alpha1.ImagesSpec) ImageRequirement {
	requirement := ImageRequirement{OnStale: spec.OnStale, OnUnknownAge: spec.OnUnknownAge, Exempt: spec.Exempt}
	if requirement.OnStale == "" {
		requirement.OnStale = v1alpha1.OnStaleDeny
	}
	if requirement.OnUnknownAge == "" {
		requirement.OnUnknownAge = v1alpha1.OnStaleWarn
	}
	requirement.MaxAge, _ = time.ParseDuration(string(spec.MaxAge))
	requirement.MaxAge = max(0, requirement.MaxAge)
	if minAge, err := time.ParseDuration(string(spec.MinAge)); err == nil {
		requirement.MinAge = min(max(0, minAge), requirement.MaxAge)
	}
	requirement.WarnBefore = min(defaultWarnBefore, requirement.MaxAge/4)
	if warnBefore, err := time.ParseDuration(string(spec.WarnBefore)); err == nil {
		requirement.WarnBefore = min(max(0, warnBefore), requirement.MaxAge)
	}
	return requirement
}

// ImageVerdict is the answer about the age of one image. The zero value is Unknown.
type ImageVerdict struct {
	// Answer is Fresh, Stale, TooYoung, Unknown or Exempt; empty counts as Unknown.
	Answer string
	// Reason is one of the reasons of api/v1alpha1; Detail is one line about an Unknown.
	Reason, Detail string
	// Created is when the image was made and Evidence what that rests on.
	Created  time.Time
	Evidence Evidence
	// StaleAt is when the image goes stale, or went.
	StaleAt time.Time
	// Warns says that the image is fresh and will go stale within the warning period.
	Warns bool
	// NextChange is the instant at which time alone changes this answer; zero if it does not.
	NextChange time.Time
}

// JudgeImage says how old an image is by the facts, whether that is too old at an instant, and when that will change. A reference that
// no runtime can read is Unknown/InvalidReference, whatever is exempt and whatever the facts say.
func JudgeImage(requirement ImageRequirement, reference string, facts ImageFacts, now time.Time) ImageVerdict {
	if !ValidReference(reference) {
		return ImageVerdict{
			Answer: ImageUnknown, Reason: v1alpha1.ReasonInvalidReference,
			Detail: "an image reference has printable ASCII characters, no white space, and at most 1024 bytes",
		}
	}
	if exemption := exemptionOf(requirement.Exempt, reference, now); exemption != nil {
		return ImageVerdict{
			Answer: ImageExempt, Reason: "Exempt", Detail: exemption.Reason, NextChange: exemption.Expires.Time,
		}
	}
	return judgeAge(requirement, facts, now)
}

func judgeAge(requirement ImageRequirement, facts ImageFacts, now time.Time) ImageVerdict {
	if facts.Unknown != "" {
		return ImageVerdict{Answer: ImageUnknown, Reason: facts.Unknown, Detail: facts.Detail}
	}
	if facts.Digest == "" {
		return ImageVerdict{Answer: ImageUnknown, Reason: v1alpha1.ReasonNotResolved, Detail: "the registry has not been asked yet"}
	}
	created, evidence, believableAt := creation(facts, now)
	if created.IsZero() {
		return ImageVerdict{
			Answer: ImageUnknown, Reason: v1alpha1.ReasonImplausibleDate, NextChange: believableAt,
			Detail: implausible(believableAt),
		}
	}
	verdict := ImageVerdict{Created: created, Evidence: evidence, StaleAt: created.Add(requirement.MaxAge)}
	warnAt := verdict.StaleAt.Add(-requirement.WarnBefore)
	switch {
	case requirement.MaxAge <= 0 || !now.Before(verdict.StaleAt):
		verdict.Answer, verdict.Reason = ImageStale, v1alpha1.ReasonImageStale
	case requirement.MinAge > 0 && now.Before(created.Add(requirement.MinAge)):
		verdict.Answer, verdict.Reason, verdict.NextChange = ImageTooYoung, v1alpha1.ReasonImageTooYoung, created.Add(requirement.MinAge)
	case !now.Before(warnAt):
		verdict.Answer, verdict.Reason, verdict.Warns, verdict.NextChange = ImageFresh, v1alpha1.ReasonImageFresh, true, verdict.StaleAt
	default:
		verdict.Answer, verdict.Reason, verdict.NextChange = ImageFresh, v1alpha1.ReasonImageFresh, warnAt
	}
	return verdict
}

func implausible(believableAt time.Time) string {
	if believableAt.IsZero() {
		return "the image carries no plausible creation date, as reproducible builds do"
	}
	return "the image carries a creation date in the future"
}

// creation picks the date that counts: the newest of config.created and history[].created if plausible, then the annotation. Where one
// of these lies in the future, no older one stands in for it: else the same facts would make an image stale now and fresh once that
// date is believed, at believableAt.
func creation(facts ImageFacts, now time.Time) (created time.Time, evidence Evidence, believableAt time.Time) {
	created, evidence = facts.ConfigCreated, EvidenceConfig
	if facts.HistoryCreated.After(created) {
		created, evidence = facts.HistoryCreated, EvidenceHistory
	}
	if created.Before(earliestPlausible) {
		created, evidence = facts.AnnotationCreated, EvidenceAnnotation
	}
	switch {
	case created.Before(earliestPlausible):
		return time.Time{}, "", time.Time{}
	case created.After(now.Add(clockSkew)):
		return time.Time{}, "", created.Add(-clockSkew)
	default:
		return created.UTC(), evidence, time.Time{}
	}
}

// exemptionOf is the exemption that covers a reference for longest. One without an end covers nothing.
func exemptionOf(exemptions []v1alpha1.ImageExemption, reference string, now time.Time) *v1alpha1.ImageExemption {
	var longest *v1alpha1.ImageExemption
	for i := range exemptions {
		exemption := &exemptions[i]
		if exemption.Expires.IsZero() || !now.Before(exemption.Expires.Time) || !matchesRepository(exemption.Pattern, reference) {
			continue
		}
		if longest == nil || longest.Expires.Before(&exemption.Expires) {
			longest = exemption
		}
	}
	return longest
}
