// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClaimKey is a key of userInfo.extra, under which the API server passes on what a token says.
//
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[a-z0-9]([a-z0-9._-]*[a-z0-9])?$')",message="a key is a domain and a path in lower case, as in the AuthenticationConfiguration of the API server, such as labguard.dev/amr"
// +kubebuilder:validation:XValidation:rule="!self.matches('^([^/]*[.])?(k8s|kubernetes)[.]io/')",message="keys of k8s.io and kubernetes.io are Kubernetes' own, and no AuthenticationConfiguration can fill them"
type ClaimKey string

// ClaimKeys name the keys of userInfo.extra, as the AuthenticationConfiguration of the API server fills them.
//
// +kubebuilder:validation:MinProperties=1
type ClaimKeys struct {
	// issuer is the key of the issuer (iss). Default: labguard.dev/issuer.
	// +optional
	Issuer ClaimKey `json:"issuer,omitempty"`
	// subject is the key of the claim that tells people apart. Default: labguard.dev/subject.
	// +optional
	Subject ClaimKey `json:"subject,omitempty"`
	// methods is the key of the methods of the login (amr). Default: labguard.dev/amr.
	// +optional
	Methods ClaimKey `json:"methods,omitempty"`
	// context is the key of the context class of the login (acr). Default: labguard.dev/acr.
	// +optional
	Context ClaimKey `json:"context,omitempty"`
	// authTime is the key of the time of the login (auth_time). Default: labguard.dev/auth-time.
	// +optional
	AuthTime ClaimKey `json:"authTime,omitempty"`
}

// ProvenClaim is something that a provider asserts from a login, and not from what a client asks for.
//
// +kubebuilder:validation:Enum=Methods;Context;AuthTime
type ProvenClaim string

const (
	// ProvesMethods is for the claim amr, which says how the person has logged in.
	ProvesMethods ProvenClaim = "Methods"
	// ProvesContext is for the claim acr, which says what class of login it was.
	ProvesContext ProvenClaim = "Context"
	// ProvesAuthTime is for the claim auth_time, which says when the person has logged in.
	ProvesAuthTime ProvenClaim = "AuthTime"
)

// IdentityProviderSpec says whose word about logins counts, and how far.
//
// +kubebuilder:validation:XValidation:rule="!has(self.methods) || 'Methods' in self.proves",message="nobody can show methods that the provider does not prove: add Methods to proves, or leave methods out"
// +kubebuilder:validation:XValidation:rule="!has(self.contexts) || 'Context' in self.proves",message="nobody can show contexts that the provider does not prove: add Context to proves, or leave contexts out"
// +kubebuilder:validation:XValidation:rule="!has(self.maxAge) || 'AuthTime' in self.proves",message="maxAge needs the time of the login, which this provider does not prove: add AuthTime to proves, or leave maxAge out"
type IdentityProviderSpec struct {
	// issuer is the URL in the iss claim of tokens, byte by byte, with or without a final slash. An issuer that two IdentityProviders name is not known.
	// +required
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https://[!-~]+$') && !self.matches('[?#@]')",message="issuer is the URL in the iss claim of tokens, such as https://login.lab.example: https, without a query"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="issuer never changes: make another IdentityProvider and delete this one"
	Issuer string `json:"issuer,omitempty"`

	// subjectClaim is the claim that tells the people of this issuer apart, the same for every client: sub at most, oid at Entra, whose sub differs from
	// client to client. The AuthenticationConfiguration of the API server has to put it under the key of the subject. Default: sub.
	// +optional
	// +kubebuilder:default=sub
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="subjectClaim is the name of a claim, such as sub"
	SubjectClaim string `json:"subjectClaim,omitempty"`

	// claimKeys are the keys under which claims arrive. Default: labguard.dev/issuer and so on.
	// +optional
	ClaimKeys ClaimKeys `json:"claimKeys,omitzero"`

	// proves is what this provider asserts from a login: Methods (amr), Context (acr), AuthTime (auth_time). What is not here is not believed. docs/identity-providers.md
	// says what is known of some products.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Proves []ProvenClaim `json:"proves,omitempty"`

	// methods are the sets of methods that are a good login here, for LabWorkloads that say neither methods nor contexts. Default: [[mfa]].
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Methods []AuthenticationMethods `json:"methods,omitempty"`

	// contexts are the context classes that are a good login here, for LabWorkloads that say neither methods nor contexts.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Contexts []AuthenticationContext `json:"contexts,omitempty"`

	// maxAge counts for logins here where it is shorter than what a LabWorkload says.
	// +optional
	MaxAge LoginAge `json:"maxAge,omitempty"`
}

// IdentityProviderStatus says what was seen of the provider.
//
// +kubebuilder:validation:MinProperties=1
type IdentityProviderStatus struct {
	// conditions are ClaimsSeen: claims of this issuer, with what it proves, have arrived in the last 24 hours; and Conflict: another IdentityProvider names
	// the same issuer.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:MinItems=0
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// claimsSeenAt is when claims of this issuer with all that it proves were last seen to arrive, to the hour.
	// +optional
	ClaimsSeenAt *metav1.Time `json:"claimsSeenAt,omitempty"`
}

// IdentityProvider is an OpenID Connect issuer whose word about logins counts. The platform team writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=idp,categories=labguard
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.issuer`
// +kubebuilder:printcolumn:name="Claims-Seen",type=string,JSONPath=`.status.conditions[?(@.type=="ClaimsSeen")].status`
// +kubebuilder:printcolumn:name="Seen-At",type=date,JSONPath=`.status.claimsSeenAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type IdentityProvider struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says whose word counts, and how far.
	// +required
	Spec IdentityProviderSpec `json:"spec,omitzero"`

	// status says what was seen.
	// +optional
	Status IdentityProviderStatus `json:"status,omitzero"`
}

// IdentityProviderList is a list of IdentityProviders.
//
// +kubebuilder:object:root=true
type IdentityProviderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []IdentityProvider `json:"items"`
}
