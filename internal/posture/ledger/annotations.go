// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/template"
)

const (
	// maxAdmittedBytes bounds the list of references in the annotation of a root workload.
	maxAdmittedBytes = 8 << 10
	// maxAdmissionsBytes bounds what is read of the JSON list beside it. Annotations may have 256 KiB in all.
	maxAdmissionsBytes = 128 << 10
	// maxCarried bounds how many earlier admissions ride along, for a controller that was away while several came in.
	maxCarried = 20
)

// References reads the list of references off the annotations of an object.
func References(annotations map[string]string) []string {
	return strings.Fields(annotations[v1alpha1.AdmittedAnnotation])
}

// Admissions reads the admissions off the annotations of an object. What cannot be read is none: the annotation is protected, so
// that only an object from before the protection can carry nonsense.
func Admissions(annotations map[string]string) []v1alpha1.AdmittedImage {
	value := annotations[v1alpha1.AdmissionsAnnotation]
	if value == "" || len(value) > maxAdmissionsBytes {
		return nil
	}
	var admitted []v1alpha1.AdmittedImage
	if err := json.Unmarshal([]byte(value), &admitted); err != nil {
		return nil
	}
	return slices.DeleteFunc(admitted, func(a v1alpha1.AdmittedImage) bool { return !template.Valid(a.Reference) || a.Reason == "" })
}

// Annotations are the two annotations that a root workload gets in the write that admits its images: the references that count for its
// match conditions (those of this write first, then what the set has for the root itself, the newest first, then earlier ones; at most
// 8 KiB), and the admissions for the controller to copy.
func Annotations(admit []v1alpha1.AdmittedImage, set Set, earlier []string) map[string]string {
	var list strings.Builder
	seen := map[string]bool{}
	add := func(reference string) bool {
		if seen[reference] || !template.Valid(reference) || list.Len()+len(reference)+1 > maxAdmittedBytes {
			return false
		}
		seen[reference] = true
		if list.Len() > 0 {
			list.WriteByte(' ')
		}
		list.WriteString(reference)
		return true
	}
	var admissions []v1alpha1.AdmittedImage
	for _, image := range admit {
		if add(image.Reference) {
			admissions = append(admissions, image)
		}
	}
	carried := len(admissions) + maxCarried
	for _, image := range set.newest() {
		if add(image.Reference) && len(admissions) < carried {
			admissions = append(admissions, image)
		}
	}
	for _, reference := range earlier {
		add(reference)
	}
	encoded, err := json.Marshal(admissions)
	if err != nil { // strings and times always encode
		encoded = []byte("[]")
	}
	return map[string]string{v1alpha1.AdmittedAnnotation: list.String(), v1alpha1.AdmissionsAnnotation: string(encoded)}
}
