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
	// maxAdmissionsBytes bounds the JSON list beside it. Annotations may have 256 KiB in all.
	maxAdmissionsBytes = 128 << 10
	// maxContainer and maxDigest are the lengths that the API has room for.
	maxContainer, maxDigest = 253, 256
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
	return slices.DeleteFunc(admitted, func(a v1alpha1.AdmittedImage) bool { return !recordable(a) })
}

// recordable says whether a RolloutRecord takes an admission: one that it does not take would keep all others of the record out.
func recordable(image v1alpha1.AdmittedImage) bool {
	return template.Valid(image.Reference) && slices.Contains(reasons, image.Reason) && !image.Time.IsZero() &&
		len(image.Container) <= maxContainer && len(image.Digest) <= maxDigest
}

// Carries says whether the annotations of an object say that a reference was admitted: in either of the two, since a pod template can name
// more references than the list for the match conditions has room for.
func Carries(annotations map[string]string, reference string) bool {
	return slices.Contains(References(annotations), reference) ||
		slices.ContainsFunc(Admissions(annotations), func(a v1alpha1.AdmittedImage) bool { return a.Reference == reference })
}

// Annotations are the two annotations that a root workload gets in the write that admits its images: the references that count for its
// match conditions (those of this write first, then what the set has for the root itself, the newest first, then earlier ones; at most
// 8 KiB), and the admissions for the controller to copy. An image that was admitted for the root before keeps the time and the digest of that.
func Annotations(admit []v1alpha1.AdmittedImage, set Set, earlier []string) map[string]string {
	var list referenceList
	var admissions admissionList
	for _, image := range admit {
		if known := set.own[image.Reference]; !known.Time.IsZero() {
			image.Time, image.Digest = known.Time, known.Digest
		}
		list.add(image.Reference)
		admissions.add(image)
	}
	carried := len(admissions.encoded) + maxCarried
	for _, image := range set.newest() {
		if list.add(image.Reference) && len(admissions.encoded) < carried {
			admissions.add(image)
		}
	}
	for _, reference := range earlier {
		list.add(reference)
	}
	return map[string]string{
		v1alpha1.AdmittedAnnotation:   strings.Join(list.references, " "),
		v1alpha1.AdmissionsAnnotation: "[" + strings.Join(admissions.encoded, ",") + "]",
	}
}

// referenceList are distinct references that fit in the annotation for the match conditions.
type referenceList struct {
	references []string
	seen       map[string]bool
	bytes      int
}

// add returns whether the reference is new and has found room.
func (l *referenceList) add(reference string) bool {
	if l.seen[reference] || !template.Valid(reference) || l.bytes+len(reference) > maxAdmittedBytes {
		return false
	}
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.seen[reference] = true
	l.references = append(l.references, reference)
	l.bytes += len(reference) + len(" ")
	return true
}

// admissionList are admissions as JSON that fit in the annotation for the controller.
type admissionList struct {
	encoded []string
	bytes   int
}

func (l *admissionList) add(image v1alpha1.AdmittedImage) {
	encoded, err := json.Marshal(image)
	// Strings and times always encode. The brackets around the list count too.
	if err != nil || !recordable(image) || len("[]")+l.bytes+len(encoded) > maxAdmissionsBytes {
		return
	}
	l.encoded = append(l.encoded, string(encoded))
	l.bytes += len(encoded) + len(",")
}
