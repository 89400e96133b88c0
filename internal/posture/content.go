// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// maxIndexDepth is how deep an index may lie in an index.
const maxIndexDepth = 3

// endOfTime is after every date that an image can carry, so that none counts as lying in the future.
var endOfTime = time.Date(10000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Moment gives a date as facts and records carry it: in UTC and whole seconds. One outside of the years 1 to 9999, which no metav1.Time can
// carry, counts as absent and is zero.
func Moment(date time.Time) time.Time {
	date = date.UTC().Truncate(time.Second)
	if date.Year() < 1 || date.Year() > 9999 {
		return time.Time{}
	}
	return date
}

// Content is what one digest says, of an image or of an index. It was verified against the digest and never changes. Its times have whole seconds,
// so that facts from the memory of one replica and from a record of the cluster are the same.
type Content struct {
	// Digest is what it is the content of.
	Digest string
	// Reference is the image reference under which it was first found, FirstSeen when.
	Reference string
	FirstSeen time.Time

	// IsIndex says that it is an index: then only Images and AnnotationCreated are given.
	IsIndex bool
	// Images are those of an index, without attestations, in the order of the index.
	Images []IndexedImage

	// Platform is what the image is made for.
	Platform Platform
	// ConfigDigest is the digest of the image configuration, and Layers one over the digests of the uncompressed layers: equal for equal files.
	ConfigDigest, Layers string
	// ConfigCreated, HistoryCreated (the newest entry) and AnnotationCreated are the dates as the image carries them; zero if it carries none.
	ConfigCreated, HistoryCreated, AnnotationCreated time.Time
}

// IndexedImage is one entry of an index.
type IndexedImage struct {
	Digest string
	// Platform is zero if the index does not say.
	Platform Platform
	// AnnotationCreated is the date that the entry carries; zero if none.
	AnnotationCreated time.Time
}

// FactsOf puts the facts about a digest on a platform together from what is known of contents. missing is the digest whose content has to be known
// for that; empty if nothing is missing. An index without an image for the platform is Unknown/NoMatchingPlatform.
func FactsOf(digest string, platform Platform, known func(digest string) (Content, bool)) (facts ImageFacts, missing string) {
	current, outer := digest, time.Time{}
	for range maxIndexDepth {
		content, found := known(current)
		if !found {
			return ImageFacts{}, current
		}
		if !content.IsIndex {
			return factsOfImage(digest, content, outer), ""
		}
		child, found := Choose(content.Images, platform)
		if !found {
			return ImageFacts{Unknown: v1alpha1.ReasonNoMatchingPlatform, Detail: noImageFor(platform)}, ""
		}
		current, outer = child.Digest, firstOf(child.AnnotationCreated, content.AnnotationCreated, outer)
	}
	return ImageFacts{Unknown: v1alpha1.ReasonInvalidImage, Detail: "the index lies too deep in other indexes"}, ""
}

func factsOfImage(digest string, content Content, outer time.Time) ImageFacts {
	facts := ImageFacts{
		Digest: digest, Platform: content.Platform, ConfigDigest: content.ConfigDigest, ConfigCreated: content.ConfigCreated,
		HistoryCreated: content.HistoryCreated, AnnotationCreated: firstOf(content.AnnotationCreated, outer),
	}
	if content.Digest != digest {
		facts.ChildDigest = content.Digest
	}
	return facts
}

// WithSameContent adds when an image with the very same layers was made, or first seen, in the repository. It is told where it says more than the
// image itself: where it lies before the image's own plausible date, or where the image carries none. A placeholder is never told.
func WithSameContent(facts ImageFacts, since time.Time) ImageFacts {
	own, _, _ := creation(facts, endOfTime)
	if !since.Before(earliestPlausible) && (own.IsZero() || since.Before(own)) {
		facts.SameContentSince = since
	}
	return facts
}

func firstOf(times ...time.Time) time.Time {
	for _, one := range times {
		if !one.IsZero() {
			return one
		}
	}
	return time.Time{}
}

func noImageFor(platform Platform) string {
	if platform == (Platform{}) {
		return "the index lists no image"
	}
	return fmt.Sprintf("the index has no image for %s", platform)
}

// Choose picks the image of an index: that of the platform; if none is asked for, that of linux/amd64, else the first.
func Choose(images []IndexedImage, wanted Platform) (IndexedImage, bool) {
	if wanted != (Platform{}) {
		return matching(images, wanted)
	}
	if chosen, found := matching(images, Platform{OS: "linux", Architecture: "amd64"}); found {
		return chosen, true
	}
	if len(images) == 0 {
		return IndexedImage{}, false
	}
	return images[0], true
}

// matching prefers the very variant, then takes any of the architecture unless both sides name different ones.
func matching(images []IndexedImage, wanted Platform) (IndexedImage, bool) {
	near := -1
	for i, image := range images {
		p := image.Platform
		if p.OS != wanted.OS || p.Architecture != wanted.Architecture {
			continue
		}
		if variantOf(p) == variantOf(wanted) {
			return image, true
		}
		if near < 0 && (p.Variant == "" || wanted.Variant == "") {
			near = i
		}
	}
	if near < 0 {
		return IndexedImage{}, false
	}
	return images[near], true
}

// variantOf fills in what is meant where none is given: v8 is the only variant of arm64 in use.
func variantOf(p Platform) string {
	if p.Architecture == "arm64" && p.Variant == "" {
		return "v8"
	}
	return p.Variant
}

// ParsePlatform reads what Platform.String gives.
func ParsePlatform(text string) Platform {
	os, rest, _ := strings.Cut(text, "/")
	architecture, variant, _ := strings.Cut(rest, "/")
	return Platform{OS: os, Architecture: architecture, Variant: variant}
}
