// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	childPrefix = "labguard-"
	maxName     = 253
	maxLabel    = 63
	hashLength  = 10
)

// ChildName is the name of the NetworkPolicy and of the Certificate of a LabWorkload: labguard-<name>, shortened with a hash above 253
// characters.
func ChildName(labWorkload string) string {
	return shorten(childPrefix+labWorkload, maxName)
}

// LabelValue is the value of v1alpha1.LabWorkloadLabel for a LabWorkload: its name, shortened with a hash above 63 characters.
func LabelValue(labWorkload string) string {
	return shorten(labWorkload, maxLabel)
}

// CompanionName is the name of the Service that leads to the sidecars behind a Service: <name>-mtls, shortened with a hash above 63 characters.
func CompanionName(service string) string {
	const suffix = "-mtls"
	return shorten(service, maxLabel-len(suffix)) + suffix
}

// shorten keeps a text of at most limit bytes, and ends a longer one with a hash of the whole. The cut never leaves two separators.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return strings.TrimRight(text[:limit-hashLength-1], "-.") + "-" + hex.EncodeToString(sum[:])[:hashLength]
}

// ChildLabels are on every child of a LabWorkload.
func ChildLabels(lw *v1alpha1.LabWorkload) map[string]string { return childLabels(lw) }

// OwnedByProfile makes the profile of a sidecar the controller of a child, so that the child goes when the last pod with that sidecar has gone.
func OwnedByProfile(profile *v1alpha1.AirlockProfile) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind("AirlockProfile").
		WithName(profile.Name).
		WithUID(profile.UID).
		WithController(true)
}

// childLabels are on every child.
func childLabels(lw *v1alpha1.LabWorkload) map[string]string {
	return map[string]string{
		v1alpha1.ManagedByLabel:   v1alpha1.ManagedByValue,
		v1alpha1.LabWorkloadLabel: LabelValue(lw.Name),
	}
}

// owner makes lw the controller of a child, so that the child goes when lw goes. It does not block the deletion of lw: the child has
// nothing to finish first, and blocking would need the right to update labworkloads/finalizers.
func owner(lw *v1alpha1.LabWorkload) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind("LabWorkload").
		WithName(lw.Name).
		WithUID(lw.UID).
		WithController(true)
}
