// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BreakGlassRequest is one request that went through by break glass.
type BreakGlassRequest struct {
	// at is when.
	// +required
	At metav1.Time `json:"at,omitzero"`
	// operation is CONNECT, CREATE, UPDATE or DELETE.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Operation string `json:"operation,omitempty"`
	// resource is what it was about, such as pods/exec.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Resource string `json:"resource,omitempty"`
	// name is the name of the object.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// BreakGlassAcknowledgement says who has looked into the use.
type BreakGlassAcknowledgement struct {
	// by is the user who acknowledges: the user name of whoever writes this.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	By string `json:"by,omitempty"`
	// reason says what was found, for auditors.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}

// BreakGlassUseSpec says who has used break glass, when and for what. labguard alone writes it, but for the acknowledgement.
//
// +kubebuilder:validation:XValidation:rule="self.user == oldSelf.user && self.first == oldSelf.first",message="who has used break glass, and since when, never changes"
// +kubebuilder:validation:XValidation:rule="self.last >= self.first",message="last must not be before first"
// +kubebuilder:validation:XValidation:rule="self.count >= oldSelf.count && self.last >= oldSelf.last",message="a use only grows: its requests have been made"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.acknowledgement) || self == oldSelf",message="what somebody has acknowledged never changes: a use after that is another BreakGlassUse"
type BreakGlassUseSpec struct {
	// user is who, as the API server knows the user.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	User string `json:"user,omitempty"`
	// first and last are when the first and the last of these requests came.
	// +required
	First metav1.Time `json:"first,omitzero"`
	// last is when the last of these requests came.
	// +required
	Last metav1.Time `json:"last,omitzero"`
	// count is how many requests were seen.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int64 `json:"count,omitempty"`
	// requests are the first of them; at most 20.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	Requests []BreakGlassRequest `json:"requests,omitempty"`
	// acknowledgement is written by a person with a multi-factor login who has looked into it; see kubectl labguard break-glass.
	// +optional
	Acknowledgement *BreakGlassAcknowledgement `json:"acknowledgement,omitempty"`
}

// BreakGlassUse is an emergency: a member of the break-glass group went around the rules in this namespace. It stays open, and the LabWorkloads of the
// namespace say so, until somebody acknowledges it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=labguard
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.user`
// +kubebuilder:printcolumn:name="Requests",type=integer,JSONPath=`.spec.count`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.spec.last`
// +kubebuilder:printcolumn:name="Acknowledged-By",type=string,JSONPath=`.spec.acknowledgement.by`
type BreakGlassUse struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who, when and for what.
	// +required
	Spec BreakGlassUseSpec `json:"spec,omitzero"`
}

// BreakGlassUseList is a list of BreakGlassUses.
//
// +kubebuilder:object:root=true
type BreakGlassUseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BreakGlassUse `json:"items"`
}
