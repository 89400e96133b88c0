// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// TrainingAge is a length of time in hours, minutes and seconds, such as 8760h (365 days).
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$')",message="write hours, minutes and seconds, such as 8760h for 365 days"
// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || (duration(self) >= duration('24h') && duration(self) <= duration('87600h'))",message="training.maxAge is between a day (24h) and ten years (87600h), such as 8760h for 365 days"
type TrainingAge string

// TrainingSpec says what training a person needs who reaches the pods or changes what runs there. TrainingRecords prove it.
type TrainingSpec struct {
	// enforcement of training. Default: spec.enforcement.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// courses are needed, all of them.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Courses []Course `json:"courses,omitempty"`

	// maxAge is how long a course counts after it was completed, such as 8760h for 365 days; at least 24h. Default: until the record expires, and a
	// record that does not expire counts for ever.
	// +optional
	MaxAge TrainingAge `json:"maxAge,omitempty"`

	// covers says what is asked about: Access is a way into a pod, Change is what runs there. Default: both.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Covers []AccessCover `json:"covers,omitempty"`

	// subjects are the people who may reach the pods and for whom StaffTrained answers. They are given no right by this, and whoever is not listed needs
	// the courses as well. Default: those who have a record of one of the courses, so that nobody without any record is counted.
	// +optional
	// +listType=map
	// +listMapKey=issuer
	// +listMapKey=subject
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Subjects []TrainingSubject `json:"subjects,omitempty"`
}

// TrainingSubject is one person, named as in TrainingRecords.
type TrainingSubject struct {
	// issuer is the OpenID Connect issuer that vouches for the subject, byte by byte as it stands in tokens.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https://[!-~]+$') && !self.matches('[?#@]')",message="training.subjects: issuer is the URL in the iss claim of tokens, such as https://login.lab.example: https, without a query"
	Issuer string `json:"issuer,omitempty"`

	// subject is the value of the claim by which the issuer's people are told apart. It is compared byte by byte.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\p{C}\p{Z}]+( +[^\p{C}\p{Z}]+)*$')`,message="training.subjects: subject has spaces at its ends or characters that nobody sees, so that it would match nobody: copy it from a token"
	Subject string `json:"subject,omitempty"`
}
