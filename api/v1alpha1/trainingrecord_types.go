// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Course names a course by the identifier that the learning management system has for it, such as phishing-basics. Courses are compared letter by letter.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?$')",message="a course is named by its identifier: letters, digits and . _ : / - between them, such as phishing-basics"
type Course string

// TrainingRecordSpec says that a person has completed a course. It holds what a decision needs, and nothing else of the person.
//
// +kubebuilder:validation:XValidation:rule="!has(self.expires) || self.expires > self.completed",message="expires must be later than completed, or the training never counts"
// +kubebuilder:validation:XValidation:rule="self.issuer == oldSelf.issuer && self.subject == oldSelf.subject && self.course == oldSelf.course",message="whose training it is, and of which course, never changes: delete the record and make another"
type TrainingRecordSpec struct {
	// subject is the person: the value of the claim by which the identity provider's people are told apart, such as the sub of a token. It may be a
	// pseudonym. It is compared byte by byte.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\p{C}\p{Z}]+( +[^\p{C}\p{Z}]+)*$')`,message="subject has spaces at its ends or characters that nobody sees, so that it would match nobody: copy it from a token"
	Subject string `json:"subject,omitempty"`

	// issuer is the OpenID Connect issuer that vouches for the subject, byte by byte as it stands in tokens, with or without a final slash.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https://[!-~]+$') && !self.matches('[?#@]')",message="issuer is the URL in the iss claim of tokens, such as https://login.lab.example: https, without a query"
	Issuer string `json:"issuer,omitempty"`

	// course is what was completed.
	// +required
	Course Course `json:"course,omitempty"`

	// completed is when. It counts from then on.
	// +required
	Completed metav1.Time `json:"completed,omitzero"`

	// expires is from when on it counts no more. Default: it has no end of its own; training.maxAge of a LabWorkload may still end it.
	// +optional
	Expires *metav1.Time `json:"expires,omitempty"`

	// evidence is where an auditor finds the proof, such as the certificate in the learning management system. labguard does not open it.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[!-.0-?A-~]+(/[!-~]*)?$')",message="evidence is a link without a user name in it, such as https://lms.lab.example/certificates/4711"
	Evidence string `json:"evidence,omitempty"`
}

// TrainingRecord says that a person has completed a course, and until when that counts. Whoever exports the learning management system writes it. It is
// about a person: the built-in roles may not read it, and lists show no dates.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=labguard
// +kubebuilder:printcolumn:name="Subject",type=string,JSONPath=`.spec.subject`
// +kubebuilder:printcolumn:name="Course",type=string,JSONPath=`.spec.course`
// +kubebuilder:printcolumn:name="Issuer",type=string,priority=1,JSONPath=`.spec.issuer`
type TrainingRecord struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what was completed, by whom and until when it counts.
	// +required
	Spec TrainingRecordSpec `json:"spec,omitzero"`
}

// TrainingRecordList is a list of TrainingRecords.
//
// +kubebuilder:object:root=true
type TrainingRecordList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TrainingRecord `json:"items"`
}
