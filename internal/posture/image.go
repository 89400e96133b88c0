// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Answers about the age of one image.
const (
	ImageFresh   = "Fresh"
	ImageStale   = "Stale"
	ImageUnknown = "Unknown"
	ImageExempt  = "Exempt"
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
	requirement.WarnBefore = min(defaultWarnBefore, requirement.MaxAge/4)
	if warnBefore, err := time.ParseDuration(string(spec.WarnBefore)); err == nil {
		requirement.WarnBefore = min(warnBefore, requirement.MaxAge)
	}
	return requirement
}

// ImageVerdict is the answer about the age of one image. The zero value is Unknown.
type ImageVerdict struct {
	// Answer is Fresh, Stale, Unknown or Exempt; empty counts as Unknown.
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

// JudgeImage says how old an image is by the facts, whether that is too old at an instant, and when that will change.
func JudgeImage(requirement ImageRequirement, reference string, facts ImageFacts, now time.Time) ImageVerdict {
	if exemption := exemptionOf(requirement.Exempt, reference, now); exemption != nil {
		return ImageVerdict{
			Answer: ImageExempt, Reason: "Exempt", Detail: exemption.Reason, NextChange: exemption.Expires.Time,
		}
	}
	verdict := judgeAge(requirement, facts, now)
	return verdict
}

func judgeAge(requirement ImageRequirement, facts ImageFacts, now time.Time) ImageVerdict {
	if facts.Unknown != "" {
		return ImageVerdict{Answer: ImageUnknown, Reason: facts.Unknown, Detail: facts.Detail}
	}
	if facts.Digest == "" {
		return ImageVerdict{Answer: ImageUnknown, Reason: v1alpha1.ReasonNotResolved, Detail: "the registry has not been asked yet"}
	}
	created, evidence := creation(facts, now)
	if created.IsZero() {
		return ImageVerdict{
			Answer: ImageUnknown, Reason: v1alpha1.ReasonImplausibleDate, NextChange: nextPlausible(facts, now),
			Detail: "the image carries no plausible creation date, as reproducible builds do",
		}
	}
	verdict := ImageVerdict{Created: created, Evidence: evidence, StaleAt: created.Add(requirement.MaxAge)}
	warnAt := verdict.StaleAt.Add(-requirement.WarnBefore)
	switch {
	case !now.Before(verdict.StaleAt):
		verdict.Answer, verdict.Reason = ImageStale, v1alpha1.ReasonImageStale
	case !now.Before(warnAt):
		verdict.Answer, verdict.Reason, verdict.Warns, verdict.NextChange = ImageFresh, v1alpha1.ReasonImageFresh, true, verdict.StaleAt
	default:
		verdict.Answer, verdict.Reason, verdict.NextChange = ImageFresh, v1alpha1.ReasonImageFresh, warnAt
	}
	return verdict
}

// creation picks the date that counts: the newest of config.created and history[].created if plausible, then the annotation.
func creation(facts ImageFacts, now time.Time) (time.Time, Evidence) {
	created, evidence := time.Time{}, Evidence("")
	if plausible(facts.ConfigCreated, now) {
		created, evidence = facts.ConfigCreated, EvidenceConfig
	}
	if plausible(facts.HistoryCreated, now) && facts.HistoryCreated.After(created) {
		created, evidence = facts.HistoryCreated, EvidenceHistory
	}
	if created.IsZero() && plausible(facts.AnnotationCreated, now) {
		created, evidence = facts.AnnotationCreated, EvidenceAnnotation
	}
	return created.UTC(), evidence
}

func plausible(created, now time.Time) bool {
	return !created.Before(earliestPlausible) && !created.After(now.Add(clockSkew))
}

// nextPlausible is the instant at which a date that lies in the future now becomes believable; zero if there is none.
func nextPlausible(facts ImageFacts, now time.Time) time.Time {
	var next time.Time
	for _, created := range []time.Time{facts.ConfigCreated, facts.HistoryCreated, facts.AnnotationCreated} {
		if created.After(now.Add(clockSkew)) {
			next = Earliest(next, created.Add(-clockSkew))
		}
	}
	return next
}

func exemptionOf(exemptions []v1alpha1.ImageExemption, reference string, now time.Time) *v1alpha1.ImageExemption {
	for i := range exemptions {
		if now.Before(exemptions[i].Expires.Time) && matchesRepository(exemptions[i].Pattern, reference) {
			return &exemptions[i]
		}
	}
	return nil
}

// matchesRepository says whether a pattern (a repository, or a prefix that ends in /*) covers a reference, tag and digest left out.
func matchesRepository(pattern, reference string) bool {
	repository := Repository(reference)
	if prefix, found := strings.CutSuffix(pattern, "/*"); found {
		return strings.HasPrefix(repository, prefix+"/")
	}
	return repository == pattern
}

// Repository is the repository of an image reference with its registry, as the container runtimes read it: without tag and digest,
// with docker.io and library/ filled in.
func Repository(reference string) string {
	repository, _, _ := strings.Cut(reference, "@")
	slash := strings.LastIndex(repository, "/")
	if colon := strings.LastIndex(repository, ":"); colon > slash {
		repository = repository[:colon]
	}
	first, _, found := strings.Cut(repository, "/")
	switch {
	case !found:
		return "docker.io/library/" + repository
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		return "docker.io/" + repository
	default:
		return repository
	}
}

// MutableTag says whether a reference has no digest and either no tag or the tag latest, so that it means another image each day.
func MutableTag(reference string) bool {
	if strings.Contains(reference, "@") {
		return false
	}
	slash, colon := strings.LastIndex(reference, "/"), strings.LastIndex(reference, ":")
	return colon <= slash || reference[colon+1:] == "latest"
}

// Days says a length of time in whole days, or in hours below two days.
func Days(length time.Duration) string {
	if length < 48*time.Hour {
		return fmt.Sprintf("%d hours", int(length.Hours()))
	}
	return fmt.Sprintf("%d days", int(length.Hours()/24))
}
