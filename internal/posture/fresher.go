// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"strings"
	"time"
)

// FresherNone says that the tag of an image means no fresher build.
const FresherNone = "None"

// Tagged is the reference by its tag alone, without a digest behind it: what the tag means can change. It is false for a reference that has a
// digest and no tag. One with neither means the tag latest.
func Tagged(reference string) (tagged string, ok bool) {
	name, _, pinned := strings.Cut(reference, "@")
	if pinned && strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
		return "", false
	}
	return name, name != ""
}

// WantsFresher says whether it matters if there is a fresher build of an image: the image is stale, soon stale or too young.
func WantsFresher(judged ImageVerdict) bool {
	return judged.Answer == ImageStale || judged.Answer == ImageTooYoung || judged.Warns
}

// Fresher is the digest that the tag of an image means by now if that is another build with a later creation date, FresherNone if the tag means
// nothing fresher, and empty if that is not known.
func Fresher(of, tag ImageFacts, now time.Time) string {
	if !known(of) || !known(tag) {
		return ""
	}
	created, _, _ := creation(of, now)
	newer, _, _ := creation(tag, now)
	switch {
	case created.IsZero():
		return ""
	case SameImage(of, tag):
		return FresherNone
	case newer.IsZero():
		return ""
	case newer.After(created):
		return tag.Digest
	default:
		return FresherNone
	}
}

// RunsOther says whether a tag means another image by now than what runs; false while one of the two is not known.
func RunsOther(running, tag ImageFacts) bool {
	return known(running) && known(tag) && !SameImage(running, tag)
}

func known(facts ImageFacts) bool { return facts.Unknown == "" && facts.Digest != "" }

// SameImage says whether two facts for one platform are about one image. Nodes report the digest of the index, of the platform's manifest or of
// the configuration, so one of them in common is enough; a configuration names the digests of all layers.
func SameImage(a, b ImageFacts) bool {
	if a.ConfigDigest != "" && a.ConfigDigest == b.ConfigDigest {
		return true
	}
	digests := []string{b.Digest, b.ChildDigest}
	return a.Digest != "" && slices.Contains(digests, a.Digest) || a.ChildDigest != "" && slices.Contains(digests, a.ChildDigest)
}
