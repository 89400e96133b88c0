// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// digestOf is a digest of one letter, 64 times.
func digestOf(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// imageRecord is a record with the fields of spec laid over a base, under the name of its digest.
func imageRecord(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	fields := map[string]any{}
	base := "digest: '" + digestOf("a") + "'\nreference: 'r.example/lis:1'\nfirstSeen: '2026-11-23T00:00:00Z'"
	for _, text := range []string{base, spec} {
		if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatalf("the test's own YAML: %v\n%s", err, text)
		}
	}
	record := object("ImageRecord", fields)
	record.SetName(v1alpha1.ImageRecordName(digestOf("a")))
	return record
}

func imageRecords(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	c, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c.Resource(v1alpha1.GroupVersion.WithResource("imagerecords"))
}

const anImage = "image: {configDigest: 'sha256:1'}"

func imageRecordRules() []rule {
	const (
		either = "a digest is either of an image or of an index"
		form   = "digest is sha256: and 64 lower-case hexadecimal digits"
		name   = "metadata.name is the digest with - in place of the colon"
	)
	listed := func(fields string) string { return "index: {images: [{" + fields + "}]}" }
	return []rule{
		{
			name: "a digest is of an image or of an index",
			accepted: []string{
				anImage, "index: {images: []}", listed("digest: 'sha256:1'"),
				"image: {platform: linux/arm64/v8, configDigest: 'sha256:1', layers: 'sha256:2', created: '0000-01-01T00:00:00Z', newestHistory: '9999-12-31T23:59:59Z'}",
				"index: {annotation: '2026-11-23T00:00:00Z', images: [{digest: 'sha256:1', platform: linux/amd64, annotation: '2026-11-23T00:00:00Z'}]}",
			},
			refused: []refusal{
				{spec: "{}", says: either},
				{spec: "{" + anImage + ", index: {images: []}}", says: either},
				{spec: "image: {}", field: "image", says: "at least 1 properties"},
				{spec: "index: {}", field: "index.images", says: "Required value"},
			},
		},
		{
			name: "the digest is one, and the name is made of it", accepted: []string{anImage},
			refused: []refusal{
				{spec: "{" + anImage + ", digest: '" + strings.ToUpper(digestOf("a")) + "'}", field: "digest", says: form},
				{spec: "{" + anImage + ", digest: 'sha512" + digestOf("a")[6:] + "'}", field: "digest", says: form},
				{spec: "{" + anImage + ", digest: 'sha256:1'}", field: "digest", says: "at least 71 chars long"},
				{spec: "{" + anImage + ", digest: '" + digestOf("a") + "a'}", field: "digest", says: "may not be more than 71"},
				{spec: "{" + anImage + ", digest: null}", field: "digest", says: "Required value"},
				{spec: "{" + anImage + ", digest: '" + digestOf("b") + "'}", notInSpec: true, says: name},
			},
		},
		{
			name: "it says where the digest was found, and when", accepted: []string{"{" + anImage + ", reference: '" + strings.Repeat("r", 1024) + "'}"},
			refused: []refusal{
				{spec: "{" + anImage + ", reference: ''}", field: "reference", says: "at least 1 chars long"},
				{spec: "{" + anImage + ", reference: null}", field: "reference", says: "Required value"},
				{spec: "{" + anImage + ", reference: '" + strings.Repeat("r", 1025) + "'}", field: "reference", says: "may not be more than 1024"},
				{spec: "{" + anImage + ", firstSeen: null}", field: "firstSeen", says: "Required value"},
				{spec: "{" + anImage + ", firstSeen: yesterday}", field: "firstSeen", says: "must be of type date-time"},
			},
		},
		{
			name: "an index has no end, but not here", accepted: []string{"index: {images: " + list(256, "{digest: 'sha256:%d', platform: linux/amd64}") + "}"},
			refused: []refusal{
				{spec: "index: {images: " + list(257, "{digest: 'sha256:%d'}") + "}", field: "index.images", says: "must have at most 256 items"},
				{spec: listed("platform: linux/amd64"), field: "index.images[0].digest", says: "Required value"},
				{spec: listed("digest: ''"), field: "index.images[0].digest", says: "at least 1 chars long"},
				{spec: listed("digest: '" + strings.Repeat("1", 257) + "'"), field: "index.images[0].digest", says: "may not be more than 256"},
				{spec: listed("digest: 'sha256:1', platform: '" + strings.Repeat("p", 129) + "'"), field: "index.images[0].platform", says: "may not be more than 128"},
			},
		},
		{
			name: "what an image says of itself has a length", accepted: []string{"image: {platform: '" + strings.Repeat("p", 128) + "'}"},
			refused: []refusal{
				{spec: "image: {platform: '" + strings.Repeat("p", 129) + "'}", field: "image.platform", says: "may not be more than 128"},
				{spec: "image: {configDigest: '" + strings.Repeat("1", 257) + "'}", field: "image.configDigest", says: "may not be more than 256"},
				{spec: "image: {layers: '" + strings.Repeat("1", 257) + "'}", field: "image.layers", says: "may not be more than 256"},
				{spec: "image: {created: '10000-01-01T00:00:00Z'}", field: "image.created", says: "must be of type date-time"},
			},
		},
	}
}

func TestRulesOfImageRecord(t *testing.T) {
	c := imageRecords(t)
	var refusals strings.Builder
	for _, r := range imageRecordRules() {
		t.Run(r.name, func(t *testing.T) {
			if len(r.accepted) == 0 || len(r.refused) == 0 {
				t.Fatal("a rule needs an object that passes and one that fails")
			}
			for _, spec := range r.accepted {
				if _, err := create(t, c, imageRecord(t, spec)); err != nil {
					t.Errorf("not accepted:\n%s\n%v", spec, err)
				}
			}
			for _, want := range r.refused {
				refusals.WriteString(refuses(t, c, imageRecord(t, want.spec), want))
			}
		})
	}
	t.Run("what a digest says never changes, and whether it is used does", func(t *testing.T) {
		refusals.WriteString(neverChanges(t, c))
	})
	t.Run("no CEL rule is without a test", func(t *testing.T) {
		messages := allMessages(t, "../../config/crd/bases/labguard.dev_imagerecords.yaml")
		if len(messages) < 4 {
			t.Fatalf("found %d rules, which cannot be all of them: %q", len(messages), messages)
		}
		for _, message := range messages {
			if !strings.Contains(refusals.String(), message) {
				t.Errorf("no object above broke the rule %q", message)
			}
		}
	})
}

// neverChanges returns the refusals of changes to a record.
func neverChanges(t *testing.T, c dynamic.ResourceInterface) string {
	t.Helper()
	record, err := c.Create(t.Context(), imageRecord(t, anImage), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), record.GetName(), metav1.DeleteOptions{}) })
	var refusals strings.Builder
	for _, spec := range []string{
		"image: {configDigest: 'sha256:2'}", "image: {configDigest: 'sha256:1', created: '2026-11-23T00:00:00Z'}", "{image: null, index: {images: []}}",
		"{" + anImage + ", reference: 'r.example/other:1'}", "{" + anImage + ", firstSeen: '2020-01-01T00:00:00Z'}",
	} {
		changed := imageRecord(t, spec)
		changed.SetResourceVersion(record.GetResourceVersion())
		_, err := c.Update(t.Context(), changed, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "what a digest says never changes") {
			t.Errorf("the answer to the change\n%s\nis %v", spec, err)
			continue
		}
		refusals.WriteString(err.Error())
	}
	unused := record.DeepCopy()
	unused.Object["status"] = map[string]any{"unusedSince": "2026-11-23T00:00:00Z"}
	noted, err := c.UpdateStatus(t.Context(), unused, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	noted.Object["status"] = map[string]any{"unusedSince": "soon"}
	if _, err := c.UpdateStatus(t.Context(), noted, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a status that is no date: %v", err)
	}
	return refusals.String()
}
