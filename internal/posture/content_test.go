// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

var (
	linuxAMD  = Platform{OS: "linux", Architecture: "amd64"}
	linuxARM  = Platform{OS: "linux", Architecture: "arm64"}
	linuxARM8 = Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	linuxARM9 = Platform{OS: "linux", Architecture: "arm64", Variant: "v9"}
	linuxARM6 = Platform{OS: "linux", Architecture: "arm", Variant: "v6"}
	linuxARM7 = Platform{OS: "linux", Architecture: "arm", Variant: "v7"}
	anyARM    = Platform{OS: "linux", Architecture: "arm"}
	windows   = Platform{OS: "windows", Architecture: "amd64"}
)

func TestTheImageOfAnIndexIsChosenByPlatform(t *testing.T) {
	entry := func(digest string, platform Platform) IndexedImage {
		return IndexedImage{Digest: digest, Platform: platform}
	}
	amd, arm, win := entry("amd", linuxAMD), entry("arm", linuxARM), entry("win", windows)
	tests := map[string]struct {
		images []IndexedImage
		wanted Platform
		want   string
	}{
		"the platform that is asked for":                          {images: []IndexedImage{amd, arm}, wanted: linuxARM, want: "arm"},
		"linux/amd64 if nothing is asked for":                     {images: []IndexedImage{win, arm, amd}, want: "amd"},
		"the first if nothing is asked for and there is no amd64": {images: []IndexedImage{arm, entry("other", linuxARM6)}, want: "arm"},
		"the first of an index that names no platform":            {images: []IndexedImage{entry("bare", Platform{})}, want: "bare"},
		"nothing of an index without images":                      {},
		"nothing of an index without images for a platform":       {wanted: linuxAMD},
		"nothing if only arm64 is there and amd64 asked for":      {images: []IndexedImage{arm}, wanted: linuxAMD},
		"nothing if only windows is there and linux asked for":    {images: []IndexedImage{win}, wanted: linuxAMD},
		"windows if asked for":                                    {images: []IndexedImage{amd, win}, wanted: windows, want: "win"},
		"no platform is not any platform":                         {images: []IndexedImage{entry("bare", Platform{})}, wanted: linuxAMD},
		"the very variant before the first":                       {images: []IndexedImage{entry("6", linuxARM6), entry("7", linuxARM7)}, wanted: linuxARM7, want: "7"},
		"the very variant before one that tells none":             {images: []IndexedImage{entry("any", anyARM), entry("7", linuxARM7)}, wanted: linuxARM7, want: "7"},
		"one that tells no variant for any":                       {images: []IndexedImage{entry("any", anyARM)}, wanted: linuxARM7, want: "any"},
		"the first variant if none is asked for":                  {images: []IndexedImage{entry("6", linuxARM6), entry("7", linuxARM7)}, wanted: anyARM, want: "6"},
		"one without variant if none is asked for":                {images: []IndexedImage{entry("6", linuxARM6), entry("any", anyARM)}, wanted: anyARM, want: "any"},
		"never another variant":                                   {images: []IndexedImage{entry("6", linuxARM6)}, wanted: linuxARM7},
		"arm64 is v8":                                             {images: []IndexedImage{entry("9", linuxARM9), entry("8", linuxARM8)}, wanted: linuxARM, want: "8"},
		"v8 is arm64":                                             {images: []IndexedImage{entry("9", linuxARM9), arm}, wanted: linuxARM8, want: "arm"},
		"arm64 takes another variant if there is no v8":           {images: []IndexedImage{entry("9", linuxARM9)}, wanted: linuxARM, want: "9"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			chosen, found := Choose(test.images, test.wanted)
			if chosen.Digest != test.want || found != (test.want != "") {
				t.Errorf("chosen %q, found %t, want %q", chosen.Digest, found, test.want)
			}
		})
	}
}

func TestFactsArePutTogetherFromContents(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, time.January, n, 0, 0, 0, 0, time.UTC) }
	contents := map[string]Content{
		"amd": {
			Digest: "amd", Platform: linuxAMD, ConfigDigest: "config", Layers: "layers", ConfigCreated: day(1), HistoryCreated: day(2),
		},
		"own":  {Digest: "own", Platform: linuxARM, AnnotationCreated: day(3)},
		"lone": {Digest: "lone", Platform: linuxARM, ConfigCreated: day(4)},
		"index": {Digest: "index", IsIndex: true, AnnotationCreated: day(10), Images: []IndexedImage{
			{Digest: "amd", Platform: linuxAMD}, {Digest: "own", Platform: linuxARM, AnnotationCreated: day(11)},
			{Digest: "lone", Platform: linuxARM7, AnnotationCreated: day(12)}, {Digest: "absent", Platform: windows},
		}},
		"arm only":  {Digest: "arm only", IsIndex: true, Images: []IndexedImage{{Digest: "lone", Platform: linuxARM}}},
		"empty":     {Digest: "empty", IsIndex: true},
		"nested":    {Digest: "nested", IsIndex: true, AnnotationCreated: day(20), Images: []IndexedImage{{Digest: "index", Platform: linuxAMD}, {Digest: "arm only", Platform: linuxARM}}},
		"too deep":  {Digest: "too deep", IsIndex: true, Images: []IndexedImage{{Digest: "nested", Platform: linuxAMD}}},
		"of itself": {Digest: "of itself", IsIndex: true, Images: []IndexedImage{{Digest: "of itself", Platform: linuxAMD}}},
		"broken":    {Digest: "broken", IsIndex: true, Images: []IndexedImage{{Digest: "nowhere", Platform: linuxAMD}}},
	}
	amd := ImageFacts{Digest: "amd", Platform: linuxAMD, ConfigDigest: "config", ConfigCreated: day(1), HistoryCreated: day(2)}
	within := func(facts ImageFacts, index string, annotation time.Time) ImageFacts {
		facts.Digest, facts.ChildDigest, facts.AnnotationCreated = index, facts.Digest, annotation
		return facts
	}
	tests := map[string]struct {
		digest   string
		platform Platform
		want     ImageFacts
		missing  string
	}{
		"an image":                            {digest: "amd", want: amd},
		"an image whatever is asked for":      {digest: "amd", platform: windows, want: amd},
		"the index's annotation":              {digest: "index", want: within(amd, "index", day(10))},
		"the entry's before the index's":      {digest: "index", platform: linuxARM7, want: within(ImageFacts{Digest: "lone", Platform: linuxARM, ConfigCreated: day(4)}, "index", day(12))},
		"the image's own before the entry's":  {digest: "index", platform: linuxARM, want: within(ImageFacts{Digest: "own", Platform: linuxARM}, "index", day(3))},
		"an index of arm64 only":              {digest: "arm only", want: within(ImageFacts{Digest: "lone", Platform: linuxARM, ConfigCreated: day(4)}, "arm only", time.Time{})},
		"an index in an index":                {digest: "nested", platform: linuxAMD, want: within(amd, "nested", day(10))},
		"the outer annotation if no other":    {digest: "nested", platform: linuxARM, want: within(ImageFacts{Digest: "lone", Platform: linuxARM, ConfigCreated: day(4)}, "nested", day(20))},
		"nothing known":                       {digest: "nowhere", missing: "nowhere"},
		"an image of an index is not known":   {digest: "index", platform: windows, missing: "absent"},
		"an index whose image is not known":   {digest: "broken", missing: "nowhere"},
		"an index that lies too deep":         {digest: "too deep", want: ImageFacts{Unknown: v1alpha1.ReasonInvalidImage, Detail: "the index lies too deep in other indexes"}},
		"an index that claims to hold itself": {digest: "of itself", want: ImageFacts{Unknown: v1alpha1.ReasonInvalidImage, Detail: "the index lies too deep in other indexes"}},
		"an index without images":             {digest: "empty", want: ImageFacts{Unknown: v1alpha1.ReasonNoMatchingPlatform, Detail: "the index lists no image"}},
		"an index without the platform":       {digest: "arm only", platform: windows, want: ImageFacts{Unknown: v1alpha1.ReasonNoMatchingPlatform, Detail: "the index has no image for windows/amd64"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			facts, missing := FactsOf(test.digest, test.platform, func(digest string) (Content, bool) {
				content, found := contents[digest]
				return content, found
			})
			if diff := cmp.Diff(test.want, facts); diff != "" || missing != test.missing {
				t.Errorf("missing %q, want %q; facts (-want +got):\n%s", missing, test.missing, diff)
			}
		})
	}
}

func TestTheSameContentIsToldWhereItSaysMoreThanTheImage(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, time.January, n, 0, 0, 0, 0, time.UTC) }
	placeholder := time.Unix(0, 0).UTC()
	tests := map[string]struct {
		facts       ImageFacts
		since, want time.Time
	}{
		"before the image's date":                 {facts: ImageFacts{ConfigCreated: day(5)}, since: day(4), want: day(4)},
		"before the newest history":               {facts: ImageFacts{ConfigCreated: day(3), HistoryCreated: day(5)}, since: day(4), want: day(4)},
		"at the image's date":                     {facts: ImageFacts{ConfigCreated: day(5)}, since: day(5)},
		"after the image's date":                  {facts: ImageFacts{ConfigCreated: day(5)}, since: day(6)},
		"not recorded":                            {facts: ImageFacts{ConfigCreated: day(5)}},
		"not recorded of an image without a date": {},
		"an image without a date":                 {since: day(4), want: day(4)},
		"an image with a placeholder":             {facts: ImageFacts{ConfigCreated: placeholder}, since: day(4), want: day(4)},
		"after the annotation that stands in":     {facts: ImageFacts{ConfigCreated: placeholder, AnnotationCreated: day(3)}, since: day(4)},
		"before the annotation that stands in":    {facts: ImageFacts{ConfigCreated: placeholder, AnnotationCreated: day(5)}, since: day(4), want: day(4)},
		"an image from the future":                {facts: ImageFacts{ConfigCreated: day(5).AddDate(7000, 0, 0)}, since: day(4), want: day(4)},
		"a placeholder is never told":             {facts: ImageFacts{ConfigCreated: day(5)}, since: placeholder},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := test.facts
			want.SameContentSince = test.want
			if diff := cmp.Diff(want, WithSameContent(test.facts, test.since)); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMomentIsWhatAnAPIObjectCanCarry(t *testing.T) {
	east := time.FixedZone("east", 3600)
	for name, test := range map[string]struct{ date, want time.Time }{
		"none":                         {},
		"fractions are cut":            {time.Date(2026, 1, 2, 3, 4, 5, 999, east), time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)},
		"before 1970 they are as well": {time.Date(1969, 12, 31, 23, 59, 59, 1, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)},
		"the year 0":                   {time.Date(0, 6, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
		"the year 0 in UTC":            {time.Date(1, 1, 1, 0, 30, 0, 0, east), time.Time{}},
		"the year 9999":                {time.Date(9999, 12, 31, 23, 59, 59, 7, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		"the year 10000":               {time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}},
		"the year 9999 in UTC":         {time.Date(10000, 1, 1, 0, 30, 0, 0, east), time.Date(9999, 12, 31, 23, 30, 0, 0, time.UTC)},
	} {
		if got := Moment(test.date); !got.Equal(test.want) || got.Location() != time.UTC {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestAPlatformIsReadBackFromItsText(t *testing.T) {
	for text, want := range map[string]Platform{
		"": {}, "linux": {OS: "linux"}, "linux/amd64": linuxAMD, "linux/arm/v7": linuxARM7, "linux/arm64/v8": linuxARM8, "windows/amd64": windows,
		"/amd64": {Architecture: "amd64"}, "linux/arm/v7/x": {OS: "linux", Architecture: "arm", Variant: "v7/x"},
	} {
		if diff := cmp.Diff(want, ParsePlatform(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	part := rapid.StringMatching(`[a-z0-9.]{1,10}`)
	rapid.Check(t, func(t *rapid.T) {
		platform := Platform{OS: part.Draw(t, "os"), Architecture: part.Draw(t, "architecture")}
		if rapid.Bool().Draw(t, "has a variant") {
			platform.Variant = part.Draw(t, "variant")
		}
		if got := ParsePlatform(platform.String()); got != platform {
			t.Errorf("%+v comes back as %+v", platform, got)
		}
	})
}
