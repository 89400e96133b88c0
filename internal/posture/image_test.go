// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// today is the instant of most tests; it has nanoseconds, as clocks do.
var today = time.Date(2026, time.November, 23, 12, 0, 0, 123456789, time.UTC)

const someDigest = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

func ninetyDays() ImageRequirement {
	return ImageRequirement{
		MaxAge: 90 * day, WarnBefore: 14 * day, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleDeny,
	}
}

func madeAt(config time.Time) ImageFacts {
	return ImageFacts{Digest: someDigest, ConfigCreated: config}
}

func TestJudgeImageNamesAnswerAndEvidence(t *testing.T) {
	t.Parallel()
	epoch, old, recent := time.Unix(0, 0), today.Add(-100*day), today.Add(-10*day)
	for name, test := range map[string]struct {
		facts    ImageFacts
		answer   string
		reason   string
		evidence Evidence
		created  time.Time
		next     time.Time
	}{
		"no facts at all are Unknown": {
			ImageFacts{}, ImageUnknown, v1alpha1.ReasonNotResolved, "", time.Time{}, time.Time{},
		},
		"a registry that was silent is Unknown for its reason, whatever else is there": {
			ImageFacts{Digest: someDigest, ConfigCreated: recent, Unknown: v1alpha1.ReasonRegistryUnreachable}, ImageUnknown, v1alpha1.ReasonRegistryUnreachable, "", time.Time{}, time.Time{},
		},
		"dates without a digest prove nothing": {
			ImageFacts{ConfigCreated: recent}, ImageUnknown, v1alpha1.ReasonNotResolved, "", time.Time{}, time.Time{},
		},
		"config.created counts": {
			madeAt(recent), ImageFresh, v1alpha1.ReasonImageFresh, EvidenceConfig, recent, recent.Add(76 * day),
		},
		"an old config.created is stale, and no time mends it": {
			madeAt(old), ImageStale, v1alpha1.ReasonImageStale, EvidenceConfig, old, time.Time{},
		},
		"history that is newer than the config counts": {
			ImageFacts{Digest: someDigest, ConfigCreated: old, HistoryCreated: recent}, ImageFresh, v1alpha1.ReasonImageFresh, EvidenceHistory, recent, recent.Add(76 * day),
		},
		"history that is older than the config does not count": {
			ImageFacts{Digest: someDigest, ConfigCreated: recent, HistoryCreated: old}, ImageFresh, v1alpha1.ReasonImageFresh, EvidenceConfig, recent, recent.Add(76 * day),
		},
		"history that equals the config is evidence of the config": {
			ImageFacts{Digest: someDigest, ConfigCreated: recent, HistoryCreated: recent}, ImageFresh, v1alpha1.ReasonImageFresh, EvidenceConfig, recent, recent.Add(76 * day),
		},
		"history alone counts where the config is a placeholder": {
			ImageFacts{Digest: someDigest, ConfigCreated: epoch, HistoryCreated: old}, ImageStale, v1alpha1.ReasonImageStale, EvidenceHistory, old, time.Time{},
		},
		"the annotation counts where the config is a placeholder": {
			ImageFacts{Digest: someDigest, ConfigCreated: epoch, AnnotationCreated: recent}, ImageFresh, v1alpha1.ReasonImageFresh, EvidenceAnnotation, recent, recent.Add(76 * day),
		},
		"the annotation alone counts": {
			ImageFacts{Digest: someDigest, AnnotationCreated: old}, ImageStale, v1alpha1.ReasonImageStale, EvidenceAnnotation, old, time.Time{},
		},
		"a newer annotation does not make an old image young": {
			ImageFacts{Digest: someDigest, ConfigCreated: old, AnnotationCreated: recent}, ImageStale, v1alpha1.ReasonImageStale, EvidenceConfig, old, time.Time{},
		},
		"no date is Unknown": {
			ImageFacts{Digest: someDigest}, ImageUnknown, v1alpha1.ReasonImplausibleDate, "", time.Time{}, time.Time{},
		},
		"1970 is a placeholder, not fifty-six years": {
			madeAt(epoch), ImageUnknown, v1alpha1.ReasonImplausibleDate, "", time.Time{}, time.Time{},
		},
		"1980 is a placeholder": {
			madeAt(time.Date(1980, 1, 1, 0, 0, 1, 0, time.UTC)), ImageUnknown, v1alpha1.ReasonImplausibleDate, "", time.Time{}, time.Time{},
		},
		"the last nanosecond of 1999 is a placeholder": {
			madeAt(earliestPlausible.Add(-1)), ImageUnknown, v1alpha1.ReasonImplausibleDate, "", time.Time{}, time.Time{},
		},
		"the first instant of 2000 is a date": {
			madeAt(earliestPlausible), ImageStale, v1alpha1.ReasonImageStale, EvidenceConfig, earliestPlausible, time.Time{},
		},
		"the first instant of 2000 is told in UTC wherever it was written": {
			madeAt(earliestPlausible.In(time.FixedZone("", 9*3600))), ImageStale, v1alpha1.ReasonImageStale, EvidenceConfig, earliestPlausible, time.Time{},
		},
		"ten minutes in the future is a clock that is fast": {
			madeAt(today.Add(10 * time.Minute)), ImageFresh, v1alpha1.ReasonImageFresh, EvidenceConfig, today.Add(10 * time.Minute), today.Add(10*time.Minute + 76*day),
		},
		"a nanosecond less than ten minutes in the future too": {
			madeAt(today.Add(10*time.Minute - 1)), ImageFresh, v1alpha1.ReasonImageFresh, EvidenceConfig, today.Add(10*time.Minute - 1), today.Add(10*time.Minute - 1 + 76*day),
		},
		"a nanosecond more is not believed until then": {
			madeAt(today.Add(10*time.Minute + 1)), ImageUnknown, v1alpha1.ReasonImplausibleDate, "", time.Time{}, today.Add(1),
		},
		"no older date stands in for one in the future": {
			ImageFacts{Digest: someDigest, ConfigCreated: old, HistoryCreated: today.Add(time.Hour), AnnotationCreated: old}, ImageUnknown, v1alpha1.ReasonImplausibleDate, "", time.Time{}, today.Add(50 * time.Minute),
		},
		"an annotation in the future is not believed until then": {
			ImageFacts{Digest: someDigest, AnnotationCreated: today.Add(time.Hour)}, ImageUnknown, v1alpha1.ReasonImplausibleDate, "", time.Time{}, today.Add(50 * time.Minute),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := JudgeImage(ninetyDays(), "registry.example/lis:1", test.facts, today)
			want := ImageVerdict{
				Answer: test.answer, Reason: test.reason, Detail: got.Detail, Created: test.created, Evidence: test.evidence, NextChange: test.next,
			}
			if !test.created.IsZero() {
				want.StaleAt = test.created.Add(90 * day)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if got.Reason == v1alpha1.ReasonImplausibleDate && got.Detail == "" {
				t.Error("nobody is told why the date is not believed")
			}
		})
	}
}

func TestAnImageGoesStaleAtAnInstant(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		age    time.Duration
		answer string
		warns  bool
		next   time.Duration
	}{
		"just made":                                          {0, ImageFresh, false, 76 * day},
		"a nanosecond before the warning":                    {76*day - 1, ImageFresh, false, 1},
		"the instant of the warning":                         {76 * day, ImageFresh, true, 14 * day},
		"a nanosecond before the limit":                      {90*day - 1, ImageFresh, true, 1},
		"the limit is reached: stale from this very instant": {90 * day, ImageStale, false, 0},
		"a nanosecond after":                                 {90*day + 1, ImageStale, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := JudgeImage(ninetyDays(), "lis:1", madeAt(today.Add(-test.age)), today)
			var next time.Time
			if test.next != 0 {
				next = today.Add(test.next)
			}
			if got.Answer != test.answer || got.Warns != test.warns || !got.NextChange.Equal(next) {
				t.Errorf("got %s, warns %t, next change %s; want %s, %t, %s", got.Answer, got.Warns, got.NextChange, test.answer, test.warns, next)
			}
		})
	}
}

func TestAnImageIsTooYoungUntilTheVeryInstantOfItsMinAge(t *testing.T) {
	t.Parallel()
	requirement := ninetyDays()
	requirement.MinAge = 3 * day
	for name, test := range map[string]struct {
		age    time.Duration
		answer string
		next   time.Duration
	}{
		"a clock that is behind":           {-clockSkew, ImageTooYoung, 3*day + clockSkew},
		"just made":                        {0, ImageTooYoung, 3 * day},
		"a nanosecond before its minimum":  {3*day - 1, ImageTooYoung, 1},
		"the minimum is reached":           {3 * day, ImageFresh, 73 * day},
		"a long time after it may be used": {90 * day, ImageStale, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := JudgeImage(requirement, "lis:1", madeAt(today.Add(-test.age)), today)
			var next time.Time
			if test.next != 0 {
				next = today.Add(test.next)
			}
			if got.Answer != test.answer || !got.NextChange.Equal(next) {
				t.Errorf("got %s until %s, want %s until %s", got.Answer, got.NextChange, test.answer, next)
			}
		})
	}
}

func TestAnExemptionHasAnEnd(t *testing.T) {
	t.Parallel()
	exempt := func(pattern string, ends time.Duration) v1alpha1.ImageExemption {
		return v1alpha1.ImageExemption{Pattern: pattern, Reason: "vendor builds yearly", Expires: metav1.NewTime(today.Add(ends))}
	}
	for name, test := range map[string]struct {
		exempt    []v1alpha1.ImageExemption
		reference string
		answer    string
		next      time.Duration
	}{
		"an image that is covered is not judged":        {[]v1alpha1.ImageExemption{exempt("registry.example/vendor/*", day)}, "registry.example/vendor/lis:1", ImageExempt, day},
		"another image is":                              {[]v1alpha1.ImageExemption{exempt("registry.example/vendor/*", day)}, "registry.example/lis:1", ImageStale, 0},
		"the last nanosecond is covered":                {[]v1alpha1.ImageExemption{exempt("registry.example/lis", 1)}, "registry.example/lis:1", ImageExempt, 1},
		"the end is not":                                {[]v1alpha1.ImageExemption{exempt("registry.example/lis", 0)}, "registry.example/lis:1", ImageStale, 0},
		"of two the one that lasts longer counts":       {[]v1alpha1.ImageExemption{exempt("registry.example/lis", day), exempt("registry.example/*", 2*day)}, "registry.example/lis:1", ImageExempt, 2 * day},
		"in either order":                               {[]v1alpha1.ImageExemption{exempt("registry.example/*", 2*day), exempt("registry.example/lis", day)}, "registry.example/lis:1", ImageExempt, 2 * day},
		"one without an end covers nothing":             {[]v1alpha1.ImageExemption{{Pattern: "registry.example/lis"}}, "registry.example/lis:1", ImageStale, 0},
		"a reference with white space is never covered": {[]v1alpha1.ImageExemption{exempt("registry.example/*", day)}, "registry.example/lis:1 evil.example/x", ImageUnknown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requirement := ninetyDays()
			requirement.Exempt = test.exempt
			got := JudgeImage(requirement, test.reference, madeAt(today.Add(-100*day)), today)
			var next time.Time
			if test.next != 0 {
				next = today.Add(test.next)
			}
			if got.Answer != test.answer || !got.NextChange.Equal(next) {
				t.Errorf("got %s until %s, want %s until %s", got.Answer, got.NextChange, test.answer, next)
			}
			if got.Answer == ImageExempt && got.Detail != "vendor builds yearly" {
				t.Errorf("the reason of the exemption is not told, but %q", got.Detail)
			}
		})
	}
}

func TestAReferenceThatNobodyCanPullIsInvalidWhateverItsFacts(t *testing.T) {
	t.Parallel()
	got := JudgeImage(ninetyDays(), "lis:1\u3000evil.example/x", madeAt(today), today)
	if got.Answer != ImageUnknown || got.Reason != v1alpha1.ReasonInvalidReference || got.Detail == "" {
		t.Errorf("got %+v, want Unknown/InvalidReference with a detail", got)
	}
}

func TestTheRequirementIsReadOffTheSpec(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spec v1alpha1.ImagesSpec
		want ImageRequirement
	}{
		"defaults: refuse what is stale, warn of what is unknown, report a fortnight before": {
			v1alpha1.ImagesSpec{MaxAge: "2160h"},
			ImageRequirement{MaxAge: 90 * day, WarnBefore: 14 * day, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"a short limit is reported in its last quarter": {
			v1alpha1.ImagesSpec{MaxAge: "8h"},
			ImageRequirement{MaxAge: 8 * time.Hour, WarnBefore: 2 * time.Hour, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"what is written counts": {
			v1alpha1.ImagesSpec{MaxAge: "100h30m", WarnBefore: "90s", OnStale: v1alpha1.OnStaleWarn, OnUnknownAge: v1alpha1.OnStaleDeny, Exempt: []v1alpha1.ImageExemption{{Pattern: "a/b"}}},
			ImageRequirement{MaxAge: 100*time.Hour + 30*time.Minute, WarnBefore: 90 * time.Second, OnStale: v1alpha1.OnStaleWarn, OnUnknownAge: v1alpha1.OnStaleDeny, Exempt: []v1alpha1.ImageExemption{{Pattern: "a/b"}}},
		},
		"no warning may be asked for": {
			v1alpha1.ImagesSpec{MaxAge: "2160h", WarnBefore: "0s"},
			ImageRequirement{MaxAge: 90 * day, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"a warning is never longer than the limit": {
			v1alpha1.ImagesSpec{MaxAge: "2h", WarnBefore: "3h"},
			ImageRequirement{MaxAge: 2 * time.Hour, WarnBefore: 2 * time.Hour, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"a warning that cannot be read is the default": {
			v1alpha1.ImagesSpec{MaxAge: "2160h", WarnBefore: "soon"},
			ImageRequirement{MaxAge: 90 * day, WarnBefore: 14 * day, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"a minimum age is asked for": {
			v1alpha1.ImagesSpec{MaxAge: "2160h", MinAge: "72h"},
			ImageRequirement{MaxAge: 90 * day, MinAge: 3 * day, WarnBefore: 14 * day, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"a minimum age is never longer than the limit": {
			v1alpha1.ImagesSpec{MaxAge: "8h", MinAge: "72h"},
			ImageRequirement{MaxAge: 8 * time.Hour, MinAge: 8 * time.Hour, WarnBefore: 2 * time.Hour, OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"a limit that cannot be read is nought": {
			v1alpha1.ImagesSpec{MaxAge: "90 days"}, ImageRequirement{OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"a limit that overflows is nought": {
			v1alpha1.ImagesSpec{MaxAge: "99999999999h"}, ImageRequirement{OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
		"negative lengths are nought": {
			v1alpha1.ImagesSpec{MaxAge: "-5h", WarnBefore: "-6h"}, ImageRequirement{OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleWarn},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, NewImageRequirement(&test.spec)); diff != "" {
				t.Errorf("requirement (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALimitOfNoughtMakesEveryKnownAgeStale(t *testing.T) {
	t.Parallel()
	for _, created := range []time.Time{today, today.Add(-time.Hour), today.Add(9 * time.Minute)} {
		got := JudgeImage(ImageRequirement{}, "lis:1", madeAt(created), today)
		if got.Answer != ImageStale || !got.NextChange.IsZero() {
			t.Errorf("made %s: got %s until %s, want Stale for ever", created, got.Answer, got.NextChange)
		}
	}
}

func FuzzDurationsOfASpecNeverOpenTheGate(f *testing.F) {
	f.Add("2160h", "336h")
	f.Add("", "")
	f.Add("-1h", "-2h")
	f.Add("1e9h", "99999999999999999999h")
	f.Add("1h1ns", "0.5h")
	f.Fuzz(func(t *testing.T, maxAge, warnBefore string) {
		got := NewImageRequirement(&v1alpha1.ImagesSpec{MaxAge: v1alpha1.ImageDuration(maxAge), WarnBefore: v1alpha1.ImageDuration(warnBefore)})
		if got.MaxAge < 0 || got.WarnBefore < 0 || got.WarnBefore > got.MaxAge {
			t.Errorf("maxAge %q, warnBefore %q: %s, %s", maxAge, warnBefore, got.MaxAge, got.WarnBefore)
		}
		if length, err := time.ParseDuration(maxAge); (err != nil || length <= 0) && got.MaxAge != 0 {
			t.Errorf("maxAge %q cannot be meant and allows %s", maxAge, got.MaxAge)
		}
		judged := JudgeImage(got, "lis:1", madeAt(today.Add(-got.MaxAge)), today)
		if got.MaxAge < 20*365*day && judged.Answer != ImageStale {
			t.Errorf("maxAge %q: an image of just that age is %s", maxAge, judged.Answer)
		}
	})
}

func TestAPlatformIsWrittenAsRegistriesDo(t *testing.T) {
	t.Parallel()
	for want, platform := range map[string]Platform{
		"":               {},
		"linux/amd64":    {OS: "linux", Architecture: "amd64"},
		"linux/arm64/v8": {OS: "linux", Architecture: "arm64", Variant: "v8"},
	} {
		if got := platform.String(); got != want {
			t.Errorf("%#v is %q, want %q", platform, got, want)
		}
	}
}
