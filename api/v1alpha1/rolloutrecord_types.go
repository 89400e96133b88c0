// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names of the RolloutRecords that do not belong to one root workload.
const (
	// RunOnceRecordName is the record that the Jobs and bare pods of a namespace share: their names are new each time.
	RunOnceRecordName = "run-once"
	// EpochRecordName is the record of a namespace's enforcement epoch.
	EpochRecordName = "epoch"
)

// AdmissionReason says why an image was let in.
//
// +kubebuilder:validation:Enum=Fresh;Exempt;Warned;PreExisting;Audit;Recovery;EnteredUngoverned
type AdmissionReason string

// Why an image was let in.
const (
	// AdmittedFresh: the image was not stale when it came.
	AdmittedFresh AdmissionReason = "Fresh"
	// AdmittedExempt: the LabWorkload exempts the image. Counts for its own root only.
	AdmittedExempt AdmissionReason = "Exempt"
	// AdmittedWarned: the image was stale or of unknown age, and the LabWorkload only warns.
	AdmittedWarned AdmissionReason = "Warned"
	// AdmittedPreExisting: the image was there before the first enforcement in the namespace.
	AdmittedPreExisting AdmissionReason = "PreExisting"
	// AdmittedAudit: the image came while the LabWorkload was at Audit. Counts for its own root only.
	AdmittedAudit AdmissionReason = "Audit"
	// AdmittedRecovery: the image came while the namespace was in recovery. Counts for its own root only.
	AdmittedRecovery AdmissionReason = "Recovery"
	// AdmittedEnteredUngoverned: the root ran the image before a LabWorkload selected it. Nothing stops, and it never counts as
	// compliant while it is stale. Counts for its own root only.
	AdmittedEnteredUngoverned AdmissionReason = "EnteredUngoverned"
)

// JoinsNamespace says whether an image admitted for this reason is admitted for every root of the namespace.
func (r AdmissionReason) JoinsNamespace() bool {
	return r == AdmittedFresh || r == AdmittedPreExisting || r == AdmittedWarned
}

// AdmittedImage is one image that one root workload was allowed to run.
type AdmittedImage struct {
	// reference is the image as the template declares it. Admission is by reference: a moved tag stays admitted and is reported.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reference string `json:"reference,omitempty"`

	// container is the name of the container (or of the image volume) that it was admitted for.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:MinLength=1
	Container string `json:"container,omitempty"`

	// digest is what the reference meant then, if known.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:MinLength=1
	Digest string `json:"digest,omitempty"`

	// time is when it was admitted.
	// +required
	Time metav1.Time `json:"time,omitzero"`

	// reason says why it was admitted.
	// +required
	Reason AdmissionReason `json:"reason,omitempty"`
}

// JoinsNamespace says whether the image is admitted for every root of the namespace. One that was let in with a warning while nobody knew what its
// reference means is not: whatever is pushed under that reference later would be admitted everywhere.
func (a AdmittedImage) JoinsNamespace() bool {
	return a.Reason.JoinsNamespace() && (a.Reason != AdmittedWarned || a.Digest != "")
}

// RootReference names a root workload: an object with a pod template, or a bare pod, that no controller owns.
// It has no UID, so that deleting and applying again keeps what was admitted.
type RootReference struct {
	// apiVersion of the root workload, such as apps/v1.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:MinLength=1
	APIVersion string `json:"apiVersion,omitempty"`

	// kind of the root workload, such as Deployment.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the root workload.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// RolloutRecordSpec is what one root workload was allowed to run. It is a spec and no status, so that backups keep it.
//
// +kubebuilder:validation:MinProperties=1
type RolloutRecordSpec struct {
	// root is the workload that this record belongs to. The records run-once and epoch have none.
	// +optional
	Root *RootReference `json:"root,omitempty"`

	// governedSince is when labguard first saw the root under enforcement; absent while no LabWorkload enforces on it.
	// +optional
	GovernedSince *metav1.Time `json:"governedSince,omitempty"`

	// admitted are the images that were let in, at most 100, and up to 500 where revisions and pods refer to more.
	// +optional
	// +listType=map
	// +listMapKey=reference
	// +kubebuilder:validation:MaxItems=500
	// +kubebuilder:validation:MinItems=0
	Admitted []AdmittedImage `json:"admitted,omitempty"`

	// held is set while the root is kept from rolling out what it declares. In the record run-once it stands for any Job or bare pod.
	// +optional
	Held *Hold `json:"held,omitempty"`

	// epoch is set in the record named epoch alone.
	// +optional
	Epoch *Epoch `json:"epoch,omitempty"`

	// unusedSince is when the root (of the epoch: the last LabWorkload) was gone; 30 days later the record is deleted.
	// +optional
	UnusedSince *metav1.Time `json:"unusedSince,omitempty"`
}

// Hold is what a root workload waits for.
type Hold struct {
	// since is when labguard first saw it held.
	// +required
	Since metav1.Time `json:"since,omitzero"`

	// images are the declared images that are not admitted, at most 10.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Images []string `json:"images,omitempty"`
}

// Epoch is one enforcement epoch of a namespace. What ran before it began is PreExisting, and that is given once.
//
// +kubebuilder:validation:MinProperties=0
type Epoch struct {
	// enforcedSince is when the canary of labguard was first refused on the API servers.
	// +optional
	EnforcedSince *metav1.Time `json:"enforcedSince,omitempty"`

	// proof says how well that is known now: Proven (every API server address answered), ProvenOnSampledServers, EnforcementNotProven
	// (the canary has not come back) or CanaryBlocked (something else refuses it).
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Proof string `json:"proof,omitempty"`

	// detail is what the API server said where the canary is blocked.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:MinLength=1
	Detail string `json:"detail,omitempty"`

	// recoverySince is when labguard first saw the namespace in recovery.
	// +optional
	RecoverySince *metav1.Time `json:"recoverySince,omitempty"`

	// held is how many root workloads of the namespace are held. While there are any, the webhooks keep listening in the namespace.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Held int32 `json:"held,omitempty"`
}

// RolloutRecord keeps what one root workload was allowed to run. Only labguard writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=rr,categories=labguard
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.root.kind`
// +kubebuilder:printcolumn:name="Root",type=string,JSONPath=`.spec.root.name`
// +kubebuilder:printcolumn:name="Enforced-Since",type=string,JSONPath=`.spec.epoch.enforcedSince`
// +kubebuilder:printcolumn:name="Held-Since",type=string,JSONPath=`.spec.held.since`
// +kubebuilder:printcolumn:name="Unused-Since",type=date,priority=1,JSONPath=`.spec.unusedSince`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RolloutRecord struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what was let in.
	// +required
	Spec RolloutRecordSpec `json:"spec,omitzero"`
}

// RolloutRecordList is a list of RolloutRecords.
//
// +kubebuilder:object:root=true
type RolloutRecordList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RolloutRecord `json:"items"`
}
