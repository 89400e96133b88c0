// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Annotations and labels that labguard owns.
const (
	// AdmittedAnnotation is on a root workload: the references of the images that were let in for it, separated by spaces.
	// The match conditions of the webhooks read it, so that a rollback needs no labguard. An admission policy heals it.
	AdmittedAnnotation = "labguard.dev/admitted"
	// AdmissionsAnnotation is on a root workload: a JSON list of the admissions of its present images (reason, time, digest).
	// The controller copies it into the RolloutRecord. An admission policy heals it.
	AdmissionsAnnotation = "labguard.dev/admissions"
	// HoldAnnotation marks a held root workload, and carries the nonce of the canary.
	HoldAnnotation = "labguard.dev/hold"
	// RecoveryLabel is on a Namespace in recovery: unix seconds until when the gate lets everything in.
	RecoveryLabel = "labguard.dev/recovery-until"
	// ManagedByLabel is on every object that labguard writes; ManagedByValue is its value.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ManagedByValue is the value of ManagedByLabel.
	ManagedByValue = "labguard"
	// LabWorkloadLabel is on every child: the name of its LabWorkload, shortened with a hash above 63 characters.
	LabWorkloadLabel = "labguard.dev/labworkload"
	// FieldManager is the field manager of everything that labguard writes.
	FieldManager = "labguard"
)
