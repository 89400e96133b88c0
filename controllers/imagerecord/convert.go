// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// The limits of the API: how many images an index lists, how long in bytes digests and platforms are, and the last year of RFC 3339.
const (
	maxImages   = 256
	maxDigest   = 256
	maxPlatform = 128
	lastYear    = 9999
)

// sha256Digest is the one form of a digest that has a record (OCI image-spec, descriptor.md): its name is made of it.
var sha256Digest = regexp.MustCompile("^sha256:[a-f0-9]{64}$")

// RecordOf is the record of a content. It is false for a content that the API cannot carry as it is, such as an index of more than 256 images, another
// digest than sha256, words that are too long or cannot be printed, or a date after the year 9999. It is then not recorded at all, rather than
// shortened: facts have to be the same whether they come from a record or from the memory of who has read the image.
func RecordOf(content posture.Content) (*v1alpha1.ImageRecord, bool) {
	if !sha256Digest.MatchString(content.Digest) || !posture.ValidReference(content.Reference) || content.FirstSeen.IsZero() || !writable(content) {
		return nil, false
	}
	record := &v1alpha1.ImageRecord{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ImageRecordName(content.Digest)},
		Spec:       v1alpha1.ImageRecordSpec{Digest: content.Digest, Reference: content.Reference, FirstSeen: *stamp(content.FirstSeen)},
	}
	var carried bool
	if content.IsIndex {
		record.Spec.Index, carried = indexOf(content)
	} else {
		record.Spec.Image, carried = imageOf(content)
	}
	return record, carried
}

func imageOf(content posture.Content) (*v1alpha1.ImageContent, bool) {
	image := &v1alpha1.ImageContent{
		Platform: content.Platform.String(), ConfigDigest: content.ConfigDigest, Layers: content.Layers,
		Created: stamp(content.ConfigCreated), NewestHistory: stamp(content.HistoryCreated), Annotation: stamp(content.AnnotationCreated),
	}
	carried := len(content.Images) == 0 && platformFits(content.Platform) && fits(content.ConfigDigest, maxDigest) && fits(content.Layers, maxDigest)
	return image, carried && *image != (v1alpha1.ImageContent{})
}

func indexOf(content posture.Content) (*v1alpha1.IndexContent, bool) {
	ofImage := content.Platform != (posture.Platform{}) || content.ConfigDigest != "" || content.Layers != "" ||
		!content.ConfigCreated.IsZero() || !content.HistoryCreated.IsZero()
	if ofImage || len(content.Images) > maxImages {
		return nil, false
	}
	index := &v1alpha1.IndexContent{Annotation: stamp(content.AnnotationCreated), Images: make([]v1alpha1.IndexedImage, len(content.Images))}
	for i, image := range content.Images {
		if image.Digest == "" || !fits(image.Digest, maxDigest) || !platformFits(image.Platform) {
			return nil, false
		}
		index.Images[i] = v1alpha1.IndexedImage{
			Digest: image.Digest, Platform: image.Platform.String(), Annotation: stamp(image.AnnotationCreated),
		}
	}
	return index, true
}

// platformFits says whether a platform, which the image says itself, is the same after it was written and read.
func platformFits(platform posture.Platform) bool {
	text := platform.String()
	return fits(text, maxPlatform) && posture.ParsePlatform(text) == platform
}

// fits says whether a text is printable ASCII without white space in at most so many bytes.
func fits(text string, limit int) bool {
	return len(text) <= limit && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// writable says whether all dates of a content can be written in RFC 3339 in UTC.
func writable(content posture.Content) bool {
	dates := []time.Time{content.FirstSeen, content.ConfigCreated, content.HistoryCreated, content.AnnotationCreated}
	for _, image := range content.Images {
		dates = append(dates, image.AnnotationCreated)
	}
	for _, date := range dates {
		if year := date.UTC().Year(); year < 0 || year > lastYear {
			return false
		}
	}
	return true
}

func stamp(date time.Time) *metav1.Time {
	date = date.UTC().Truncate(time.Second)
	if date.IsZero() {
		return nil
	}
	written := metav1.NewTime(date)
	return &written
}
