// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// A record that somebody wrote by hand, or restored from a backup of who knows what, may say anything. It may be wrong; it must not stop labguard.
func TestPropertyARecordThatSomebodyWroteStopsNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := map[string]*v1alpha1.ImageRecord{}
		digests := rapid.SampledFrom([]string{digest(1), digest(2), digest(3), "sha256:", "no digest", "sha512:ab", ""})
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			record := someRecord(digests).Draw(t, "record")
			records[record.Spec.Digest] = record
		}
		now := start.Add(time.Duration(rapid.Int64Range(0, 1<<60).Draw(t, "later")))
		for wanted, record := range records {
			facts, missing := posture.FactsOf(wanted, posture.ParsePlatform(somePlatform().Draw(t, "platform")), func(digest string) (posture.Content, bool) {
				known, found := records[digest]
				if !found {
					return posture.Content{}, false
				}
				return posture.ContentOf(known), true
			})
			content := posture.ContentOf(record)
			facts = posture.WithSameContent(facts, content.KnownSince())
			judged := posture.JudgeImage(posture.NewImageRequirement(&v1alpha1.ImagesSpec{MaxAge: "2160h"}), "r.example/lis:1", facts, now)
			if judged.Answer == posture.ImageFresh && (missing != "" || judged.Created.Year() < 2000) {
				t.Fatalf("%+v is fresh by %+v", record.Spec, facts)
			}
			_, _, _ = filesOf(record), listedBy(record), configOf(record)
			if planned := retain(record.Status, false, now); planned.unusedSince == nil || planned.ends.IsZero() {
				t.Fatalf("%+v", planned)
			}
			if wait := isNew(record, now); wait < 0 || wait > newFor {
				t.Fatalf("it is left alone for %s", wait)
			}
			if again, carried := RecordOf(content); carried && again.Spec.Digest != wanted {
				t.Fatalf("%s is recorded as %s", wanted, again.Spec.Digest)
			}
		}
	})
}

func someDate() *rapid.Generator[*metav1.Time] {
	return rapid.Custom(func(t *rapid.T) *metav1.Time {
		year := rapid.SampledFrom([]int{-1, 0, 1, 1970, 1999, 2026, 9999, 10000, 292277026596}).Draw(t, "year")
		return &metav1.Time{Time: time.Date(year, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, time.UTC)}
	})
}

func somePlatform() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"", "/", "linux/amd64", "linux", "///", "a/b/c/d", "linux/arm64/v8"})
}

// someRecord is of an image, of an index, of both or of neither.
func someRecord(digests *rapid.Generator[string]) *rapid.Generator[*v1alpha1.ImageRecord] {
	return rapid.Custom(func(t *rapid.T) *v1alpha1.ImageRecord {
		date := rapid.Ptr(rapid.Map(someDate(), func(date *metav1.Time) metav1.Time { return *date }), true)
		record := &v1alpha1.ImageRecord{Spec: v1alpha1.ImageRecordSpec{
			Digest: digests.Draw(t, "digest"), Reference: rapid.SampledFrom([]string{"", "r.example/lis:1", ":@/"}).Draw(t, "reference"),
			FirstSeen: *someDate().Draw(t, "firstSeen"),
		}}
		if rapid.Bool().Draw(t, "image") {
			record.Spec.Image = &v1alpha1.ImageContent{
				Platform: somePlatform().Draw(t, "platform"), ConfigDigest: digests.Draw(t, "config"), Layers: digests.Draw(t, "layers"),
				Created: date.Draw(t, "created"), NewestHistory: date.Draw(t, "history"), Annotation: date.Draw(t, "annotation"),
			}
		}
		if rapid.Bool().Draw(t, "index") {
			record.Spec.Index = &v1alpha1.IndexContent{Annotation: date.Draw(t, "index annotation")}
			for range rapid.IntRange(0, 3).Draw(t, "images") {
				record.Spec.Index.Images = append(record.Spec.Index.Images, v1alpha1.IndexedImage{
					Digest: digests.Draw(t, "listed"), Platform: somePlatform().Draw(t, "listed platform"), Annotation: date.Draw(t, "listed annotation"),
				})
			}
		}
		return record
	})
}
