// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// digest is a digest of one number.
func digest(number int) string { return fmt.Sprintf("sha256:%064x", number) }

var start = time.Date(2026, time.November, 23, 8, 0, 0, 0, time.UTC)

// lis is the content of an image.
func lis() posture.Content {
	return posture.Content{
		Digest: digest(1), Reference: "registry.example/lab/lis:1", FirstSeen: start, Platform: posture.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"},
		ConfigDigest: digest(2), Layers: digest(3), ConfigCreated: start.AddDate(0, -1, 0), HistoryCreated: start.AddDate(0, 0, -20), AnnotationCreated: start.AddDate(0, 0, -10),
	}
}

// lisIndex is the content of an index that lists the image lis.
func lisIndex() posture.Content {
	return posture.Content{
		Digest: digest(9), Reference: "registry.example/lab/lis:1", FirstSeen: start, IsIndex: true, AnnotationCreated: start.AddDate(0, 0, -9),
		Images: []posture.IndexedImage{
			{Digest: digest(4), Platform: posture.Platform{OS: "linux", Architecture: "amd64"}, AnnotationCreated: start.AddDate(0, 0, -8)},
			{Digest: digest(1)},
		},
	}
}

func with(content posture.Content, change func(*posture.Content)) posture.Content {
	change(&content)
	return content
}

func TestAContentThatTheAPICannotCarryIsNotRecorded(t *testing.T) {
	long := strings.Repeat("x", 257)
	images := func(count int) []posture.IndexedImage {
		all := make([]posture.IndexedImage, count)
		for i := range all {
			all[i].Digest = digest(i)
		}
		return all
	}
	for name, test := range map[string]struct {
		of      posture.Content
		change  func(*posture.Content)
		carried bool
	}{
		"an image":                             {lis(), func(*posture.Content) {}, true},
		"an index":                             {lisIndex(), func(*posture.Content) {}, true},
		"an index of nothing":                  {lisIndex(), func(c *posture.Content) { c.Images = nil }, true},
		"an index of 256 images":               {lisIndex(), func(c *posture.Content) { c.Images = images(256) }, true},
		"an index of 257 images":               {lisIndex(), func(c *posture.Content) { c.Images = images(257) }, false},
		"an index that has a configuration":    {lisIndex(), func(c *posture.Content) { c.ConfigDigest = digest(2) }, false},
		"an index with a date of an image":     {lisIndex(), func(c *posture.Content) { c.HistoryCreated = start }, false},
		"an index of an image without digest":  {lisIndex(), func(c *posture.Content) { c.Images = []posture.IndexedImage{{}} }, false},
		"an index of an image with a long one": {lisIndex(), func(c *posture.Content) { c.Images = []posture.IndexedImage{{Digest: long}} }, false},
		"an image with images":                 {lis(), func(c *posture.Content) { c.Images = images(1) }, false},
		"no digest":                            {lis(), func(c *posture.Content) { c.Digest = "" }, false},
		"another kind of digest":               {lis(), func(c *posture.Content) { c.Digest = "sha512:" + strings.Repeat("a", 128) }, false},
		"a digest that is none":                {lis(), func(c *posture.Content) { c.Digest = "sha256:" + strings.Repeat("A", 64) }, false},
		"no reference":                         {lis(), func(c *posture.Content) { c.Reference = "" }, false},
		"a reference of two words":             {lis(), func(c *posture.Content) { c.Reference = "lis 1" }, false},
		"a reference that is endless":          {lis(), func(c *posture.Content) { c.Reference = strings.Repeat("r", 1025) }, false},
		"never seen":                           {lis(), func(c *posture.Content) { c.FirstSeen = time.Time{} }, false},
		"an image that says nothing":           {posture.Content{Digest: digest(1), Reference: "lis:1", FirstSeen: start}, func(*posture.Content) {}, false},
		"a platform with a slash":              {lis(), func(c *posture.Content) { c.Platform.OS = "lin/ux" }, false},
		"a platform of a variant alone":        {lis(), func(c *posture.Content) { c.Platform = posture.Platform{Variant: "v8"} }, false},
		"a platform that cannot be printed":    {lis(), func(c *posture.Content) { c.Platform.Variant = "v\x00" }, false},
		"a platform without end":               {lis(), func(c *posture.Content) { c.Platform.Variant = long }, false},
		"a configuration's digest without end": {lis(), func(c *posture.Content) { c.ConfigDigest = long }, false},
		"layers without end":                   {lis(), func(c *posture.Content) { c.Layers = long }, false},
		"a date after the year 9999": {lis(), func(c *posture.Content) {
			c.ConfigCreated = time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200))
		}, false},
		"a date before the year 0": {lisIndex(), func(c *posture.Content) {
			c.Images[0].AnnotationCreated = time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 7200))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if record, carried := RecordOf(with(test.of, test.change)); carried != test.carried {
				t.Errorf("carried: %t, %+v", carried, record)
			}
		})
	}
}

func contents() *rapid.Generator[posture.Content] {
	return rapid.Custom(func(t *rapid.T) posture.Content {
		digests, dates, platforms := rapid.Map(rapid.IntRange(0, 1<<30), digest), dates(), platforms()
		content := posture.Content{
			Digest: digests.Draw(t, "digest"), Reference: "registry.example/" + strings.Repeat("x", rapid.IntRange(1, 1007).Draw(t, "length of the reference")),
			FirstSeen:         time.Unix(rapid.Int64Range(946684800, 4102444800).Draw(t, "firstSeen"), 0).UTC(),
			AnnotationCreated: dates.Draw(t, "annotation"), IsIndex: rapid.Bool().Draw(t, "index"),
		}
		if !content.IsIndex {
			content.Platform, content.ConfigDigest = platforms.Draw(t, "platform"), digests.Draw(t, "config")
			content.Layers = rapid.SampledFrom([]string{"", digest(7), strings.Repeat("~", 256)}).Draw(t, "layers")
			content.ConfigCreated, content.HistoryCreated = dates.Draw(t, "config created"), dates.Draw(t, "history")
			return content
		}
		content.Images = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) posture.IndexedImage {
			return posture.IndexedImage{Digest: digests.Draw(t, "child"), Platform: platforms.Draw(t, "of"), AnnotationCreated: dates.Draw(t, "child annotation")}
		}), 0, 5).Draw(t, "images")
		return content
	})
}

func dates() *rapid.Generator[time.Time] {
	edges := []time.Time{
		{}, time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), start, time.Unix(-1, 0).UTC(),
	}
	return rapid.OneOf(rapid.SampledFrom(edges), rapid.Map(rapid.Int64Range(-62135596800, 253402300799), func(seconds int64) time.Time {
		return time.Unix(seconds, 0).UTC()
	}))
}

func platforms() *rapid.Generator[posture.Platform] {
	return rapid.SampledFrom([]posture.Platform{
		{}, {OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "windows"}, {Architecture: "arm64"},
		{OS: strings.Repeat("o", 60), Architecture: strings.Repeat("a", 60), Variant: "v234567"[:6]},
	})
}

func TestARecordSaysWhatItsContentSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := contents().Draw(t, "content")
		record, carried := RecordOf(content)
		if !carried {
			t.Fatalf("not carried: %+v", content)
		}
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		var read v1alpha1.ImageRecord
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		for from, got := range map[string]posture.Content{"the record": posture.ContentOf(record), "its JSON": posture.ContentOf(&read)} {
			if diff := cmp.Diff(content, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("from %s (-want +got):\n%s", from, diff)
			}
		}
	})
}

// What is smaller than a second has no room, and neither has a zone: a record and a memory say the same all the same, since contents have neither.
func TestDatesHaveWholeSecondsInUTC(t *testing.T) {
	record, carried := RecordOf(with(lis(), func(c *posture.Content) {
		c.ConfigCreated = start.Add(time.Millisecond).In(time.FixedZone("", 3600))
	}))
	if got := posture.ContentOf(record).ConfigCreated; !carried || got != start {
		t.Errorf("%v", got)
	}
}

func TestTheAPIServerTakesEveryRecord(t *testing.T) {
	admin := newClient(t)
	count := 0
	rapid.Check(t, func(t *rapid.T) {
		count++
		if count > 60 { // each is a request; the property above has the rest
			return
		}
		content := contents().Draw(t, "content")
		record, _ := RecordOf(content)
		if err := admin.Create(context.Background(), record, client.DryRunAll); err != nil {
			t.Fatalf("%+v: %v", content, err)
		}
		if diff := cmp.Diff(content, posture.ContentOf(record), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
