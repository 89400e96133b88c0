// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

func TestAReferenceByItsTagAlone(t *testing.T) {
	t.Parallel()
	for reference, want := range map[string]string{
		"registry.example/lis:2":                    "registry.example/lis:2",
		"registry.example/lis:2@" + someDigest:      "registry.example/lis:2",
		"registry.example/lis@" + someDigest:        "",
		"registry.example:5000/lis@" + someDigest:   "",
		"registry.example:5000/lis:2@" + someDigest: "registry.example:5000/lis:2",
		"nginx":          "nginx",
		"":               "",
		"@" + someDigest: "",
	} {
		if got, ok := Tagged(reference); got != want || ok != (want != "") {
			t.Errorf("Tagged(%q) = %q, %t; want %q", reference, got, ok, want)
		}
	}
}

func TestFresherIsWhatTheTagMeansByNow(t *testing.T) {
	t.Parallel()
	build := func(digest, child, config string, created time.Time) ImageFacts {
		return ImageFacts{Digest: digest, ChildDigest: child, ConfigDigest: config, ConfigCreated: created}
	}
	old, recent := today.Add(-100*day), today.Add(-day)
	of := build("sha256:index", "sha256:child", "sha256:config", old)
	for name, test := range map[string]struct {
		of, tag ImageFacts
		want    string
		other   bool
	}{
		"another build that is newer":                      {of, build("sha256:b", "", "sha256:c", recent), "sha256:b", true},
		"another build that is older":                      {of, build("sha256:b", "", "sha256:c", old.Add(-day)), FresherNone, true},
		"another build of the very same date":              {of, build("sha256:b", "", "sha256:c", old), FresherNone, true},
		"another build without a plausible date":           {of, build("sha256:b", "", "sha256:c", time.Unix(0, 0)), "", true},
		"another build with a date in the future":          {of, build("sha256:b", "", "sha256:c", today.Add(day)), "", true},
		"the same index":                                   {of, of, FresherNone, false},
		"an index of which the node reports the image":     {build("sha256:child", "", "", old), of, FresherNone, false},
		"an image of the index that the node reports":      {of, build("sha256:child", "", "", old), FresherNone, false},
		"another index around the same image":              {of, build("sha256:index2", "sha256:child", "", old), FresherNone, false},
		"the same configuration in another manifest":       {of, build("sha256:b", "", "sha256:config", old), FresherNone, false},
		"two images of which no configuration is known":    {build("sha256:a", "", "", old), build("sha256:b", "", "", recent), "sha256:b", true},
		"a tag that nobody knows":                          {of, ImageFacts{}, "", false},
		"a tag that cannot be looked up":                   {of, ImageFacts{Digest: "sha256:b", Unknown: v1alpha1.ReasonRegistryUnreachable}, "", false},
		"an image of which no age is known":                {ImageFacts{Unknown: v1alpha1.ReasonNotInRegistry}, build("sha256:b", "", "", recent), "", false},
		"an image without a plausible date beside another": {build("sha256:a", "", "", time.Unix(0, 0)), build("sha256:b", "", "", recent), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Fresher(test.of, test.tag, today); got != test.want {
				t.Errorf("fresher is %q, want %q", got, test.want)
			}
			if got := RunsOther(test.of, test.tag); got != test.other {
				t.Errorf("runs another: %t", got)
			}
		})
	}
}

func TestPropertyAFresherBuildIsAnotherAndNewer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of, tag, now := someFacts().Draw(t, "of"), someFacts().Draw(t, "tag"), instants().Draw(t, "now")
		tag.Digest = rapid.SampledFrom([]string{tag.Digest, "sha256:other"}).Draw(t, "digest")
		requirement := someRequirementWithMinAge().Draw(t, "requirement")
		fresher := Fresher(of, tag, now)
		if fresher == "" || fresher == FresherNone {
			return
		}
		this, that := judgeAge(requirement, of, now), judgeAge(requirement, tag, now)
		if fresher != tag.Digest || !RunsOther(of, tag) || !that.Created.After(this.Created) || this.Answer != ImageStale && that.Answer == ImageStale {
			t.Fatalf("%q of %s is fresher than %s", fresher, that.Created, this.Created)
		}
	})
}

func TestThePlatformOfAllNodes(t *testing.T) {
	t.Parallel()
	amd, arm := Platform{OS: "linux", Architecture: "amd64"}, Platform{OS: "linux", Architecture: "arm64"}
	for name, test := range map[string]struct {
		nodes []Platform
		want  Platform
	}{
		"is not known without nodes":                 {nil, Platform{}},
		"is that of the only node":                   {[]Platform{arm}, arm},
		"is that which all have":                     {[]Platform{arm, arm, arm}, arm},
		"is none where they have several":            {[]Platform{arm, amd, arm}, Platform{}},
		"does not wait for a node that says nothing": {[]Platform{{}, arm, {}}, arm},
		"is not that of the third of several":        {[]Platform{arm, amd, amd}, Platform{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := CommonPlatform(test.nodes); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
