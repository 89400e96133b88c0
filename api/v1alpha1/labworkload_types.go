// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Enforcement says whether labguard acts on a requirement or only reports on it.
//
// +kubebuilder:validation:Enum=Audit;Enforce
type Enforcement string

const (
	// EnforcementAudit evaluates, reports and says what Enforce would do, and touches nothing.
	EnforcementAudit Enforcement = "Audit"
	// EnforcementEnforce writes network policies and refuses rollouts.
	EnforcementEnforce Enforcement = "Enforce"
)

// LabWorkloadSpec is what the selected pods must live up to. A requirement that is absent is not made:
// no object is written for it and no condition speaks of it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enforceAfter) || (has(self.enforcement) && self.enforcement == 'Enforce') || (has(self.network) && has(self.network.enforcement) && self.network.enforcement == 'Enforce') || (has(self.images) && has(self.images.enforcement) && self.images.enforcement == 'Enforce') || (has(self.encryption) && has(self.encryption.inTransit) && has(self.encryption.inTransit.enforcement) && self.encryption.inTransit.enforcement == 'Enforce') || (has(self.mfa) && has(self.mfa.enforcement) && self.mfa.enforcement == 'Enforce') || (has(self.training) && has(self.training.enforcement) && self.training.enforcement == 'Enforce')",message="enforceAfter delays an enforcement, and nothing here enforces: set enforcement: Enforce, or remove enforceAfter"
type LabWorkloadSpec struct {
	// selector chooses the pods by their labels, in the namespace of this object. It must not be empty:
	// a LabWorkload never governs a whole namespace by accident.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector is empty and would govern every pod of the namespace: give matchLabels or matchExpressions, such as matchLabels: {app: lis}"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])",message="selector.matchExpressions: operator must be In, NotIn, Exists or DoesNotExist"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? (has(e.values) && size(e.values) > 0) : (!has(e.values) || size(e.values) == 0))",message="selector.matchExpressions: In and NotIn need values, Exists and DoesNotExist take none"
	Selector metav1.LabelSelector `json:"selector,omitzero"`

	// enforcement is Audit (evaluate and report, touch nothing) or Enforce. Each of network, encryption.inTransit, images, mfa and training may set its own.
	// A verdict never depends on it: conditions say what is.
	// +optional
	// +kubebuilder:default=Audit
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// enforceAfter keeps everything at Audit until this instant: an RFC 3339 instant such as "2027-01-15T06:00:00Z",
	// or a date such as "2027-01-15", which is midnight UTC at its start.
	// +optional
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$')",message="enforceAfter: write a date such as \"2027-01-15\" (midnight UTC) or an RFC 3339 instant such as \"2027-01-15T06:00:00Z\""
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]{4}-02-29') || (int(self.substring(0, 4)) % 4 == 0 && (int(self.substring(0, 4)) % 100 != 0 || int(self.substring(0, 4)) % 400 == 0))",message="enforceAfter: that year has no 29 February"
	EnforceAfter string `json:"enforceAfter,omitempty"`

	// suspend freezes labguard's own writes (policies, certificates, releases) for incident work. The gate stays as it was.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// encryption says how the pods encrypt.
	// +optional
	Encryption *EncryptionSpec `json:"encryption,omitempty"`

	// network says whom the pods may talk to.
	// +optional
	Network *NetworkSpec `json:"network,omitempty"`

	// images says how old the images of the pods may be.
	// +optional
	Images *ImagesSpec `json:"images,omitempty"`

	// mfa says what login the people need who get into the pods or change what runs there.
	// +optional
	MFA *MFASpec `json:"mfa,omitempty"`

	// training says what training the people need who reach the pods.
	// +optional
	Training *TrainingSpec `json:"training,omitempty"`
}

// LabWorkloadStatus says what holds, what does not, what nobody can know, and when that will change.
//
// +kubebuilder:validation:MinProperties=1
type LabWorkloadStatus struct {
	// conditions are Ready (labguard has done its part), Compliant (the sum), and one for each requirement that the spec makes.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:MinItems=0
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status speaks of; -1 before the first look.
	// +optional
	// +kubebuilder:default=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// enforcement is what is in force now: Audit, Enforce, Mixed, "Audit until <date>" or Suspended.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Enforcement string `json:"enforcement,omitempty"`

	// images are the distinct images that workload objects declare and pods run, the ones that go stale first at the top.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:MinItems=0
	Images []ImageStatus `json:"images,omitempty"`

	// imageCount is how many distinct images there are; images lists at most 50 of them.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ImageCount int32 `json:"imageCount,omitempty"`

	// oldestImage is the creation time of the oldest image whose age is known.
	// +optional
	OldestImage *metav1.Time `json:"oldestImage,omitempty"`

	// staleAt is the next instant at which an image that is not stale yet will be.
	// +optional
	StaleAt *metav1.Time `json:"staleAt,omitempty"`

	// held are the rollouts that wait until their images are fine; at most 20.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:MinItems=0
	Held []HeldRollout `json:"held,omitempty"`

	// heldCount is how many there are; held lists at most 20 of them.
	// +optional
	// +kubebuilder:validation:Minimum=1
	HeldCount int32 `json:"heldCount,omitempty"`

	// certificate is what cert-manager has issued.
	// +optional
	Certificate *CertificateStatus `json:"certificate,omitempty"`

	// transit is how far the way to mutual TLS has gone, for provider Sidecar.
	// +optional
	Transit *TransitStatus `json:"transit,omitempty"`

	// enforcedSince is when labguard has seen its own canary refused on the API servers: from then on no new stale image comes in.
	// +optional
	EnforcedSince *metav1.Time `json:"enforcedSince,omitempty"`

	// nextChangeAt is the next instant at which time alone changes a verdict.
	// +optional
	NextChangeAt *metav1.Time `json:"nextChangeAt,omitempty"`

	// preview says what Enforce would do to what exists now. Only under Audit.
	// +optional
	Preview *EnforcementPreview `json:"preview,omitempty"`
}

// EnforcementPreview says what Enforce would do to what exists now.
//
// +kubebuilder:validation:MinProperties=0
type EnforcementPreview struct {
	// networkPolicy is the policy that would be written.
	// +optional
	NetworkPolicy *networkingv1.NetworkPolicySpec `json:"networkPolicy,omitempty"`

	// losesPath names existing pods, Services and Ingresses that could no longer reach, or be reached; at most 20, then "and N more".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=21
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:MinItems=0
	LosesPath []string `json:"losesPath,omitempty"`

	// refusedImages names declared images that could not be rolled out anew; at most 20, then "and N more".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=21
	// +kubebuilder:validation:items:MaxLength=1100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:MinItems=0
	RefusedImages []string `json:"refusedImages,omitempty"`
}

// LabWorkload says what the pods of one piece of laboratory software must live up to, and reports whether they do.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=lw,categories=labguard
// +kubebuilder:printcolumn:name="Compliant",type=string,JSONPath=`.status.conditions[?(@.type=="Compliant")].status`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.status.enforcement`
// +kubebuilder:printcolumn:name="Network",type=string,JSONPath=`.status.conditions[?(@.type=="NetworkIsolated")].status`
// +kubebuilder:printcolumn:name="Transit",type=string,JSONPath=`.status.conditions[?(@.type=="TransitEncrypted")].status`
// +kubebuilder:printcolumn:name="MFA",type=string,JSONPath=`.status.conditions[?(@.type=="MFAEnforced")].status`
// +kubebuilder:printcolumn:name="Images",type=string,JSONPath=`.status.conditions[?(@.type=="ImagesFresh")].status`
// +kubebuilder:printcolumn:name="Stale-At",type=string,JSONPath=`.status.staleAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Training",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="StaffTrained")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Oldest-Image",type=date,priority=1,JSONPath=`.status.oldestImage`
// +kubebuilder:printcolumn:name="Certificate-Expires",type=string,priority=1,JSONPath=`.status.certificate.notAfter`
// +kubebuilder:printcolumn:name="Held",type=integer,priority=1,JSONPath=`.status.heldCount`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 200",message="metadata.name: at most 200 characters, since labguard's own objects carry it in their names"
type LabWorkload struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the selected pods must live up to.
	// +required
	Spec LabWorkloadSpec `json:"spec,omitzero"`

	// status says what holds.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status LabWorkloadStatus `json:"status,omitzero"`
}

// LabWorkloadList is a list of LabWorkloads.
//
// +kubebuilder:object:root=true
type LabWorkloadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LabWorkload `json:"items"`
}
