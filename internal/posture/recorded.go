// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// ContentOf is the content that a record carries. It shares no memory with the record.
func ContentOf(record *v1alpha1.ImageRecord) Content {
	content := Content{Digest: record.Spec.Digest, Reference: record.Spec.Reference, FirstSeen: record.Spec.FirstSeen.UTC()}
	if index := record.Spec.Index; index != nil {
		content.IsIndex, content.AnnotationCreated = true, momentOf(index.Annotation)
		content.Images = make([]IndexedImage, len(index.Images))
		for i, image := range index.Images {
			content.Images[i] = IndexedImage{
				Digest: image.Digest, Platform: ParsePlatform(image.Platform), AnnotationCreated: momentOf(image.Annotation),
			}
		}
	}
	if image := record.Spec.Image; image != nil {
		content.Platform, content.ConfigDigest, content.Layers = ParsePlatform(image.Platform), image.ConfigDigest, image.Layers
		content.ConfigCreated, content.HistoryCreated = momentOf(image.Created), momentOf(image.NewestHistory)
		content.AnnotationCreated = momentOf(image.Annotation)
	}
	return content
}

func momentOf(date *metav1.Time) time.Time {
	if date == nil {
		return time.Time{}
	}
	return date.UTC()
}
