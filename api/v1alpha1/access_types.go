// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// AccessCover is one sort of request that a rule about people is about.
//
// +kubebuilder:validation:Enum=Access;Change
type AccessCover string

const (
	// CoverAccess is a way into a pod: exec, attach, port-forward, the proxies of pods and Services, and debug containers.
	CoverAccess AccessCover = "Access"
	// CoverChange is creating, updating or deleting what runs in the namespace and what leads to it. Writes of labguard's own kinds there are asked about whatever is covered.
	CoverChange AccessCover = "Change"
)

// OnUnproven says what happens where nobody in the cluster can prove what is asked for.
//
// +kubebuilder:validation:Enum=Deny;Warn
type OnUnproven string

const (
	// OnUnprovenDeny refuses.
	OnUnprovenDeny OnUnproven = "Deny"
	// OnUnprovenWarn lets through with a warning.
	OnUnprovenWarn OnUnproven = "Warn"
)

// LoginAge is a length of time in hours, minutes and seconds, such as 12h.
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$')",message="write hours, minutes and seconds, such as 12h"
// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || (duration(self) >= duration('5m') && duration(self) <= duration('720h'))",message="the age of a login is between 5m and 30 days (720h), such as 12h"
type LoginAge string

// AuthenticationMethod is one value of the claim amr, such as mfa, otp or hwk (RFC 8176), or whatever the provider calls it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="a method is one word of visible characters, as it stands in the claim amr, such as mfa"
type AuthenticationMethod string

// AuthenticationMethods are methods that have to be there together, such as [pwd, otp].
//
// +listType=set
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=8
// +kubebuilder:validation:XValidation:rule="!self.all(m, m in ['pwd', 'pin', 'kba'])",message="pwd, pin and kba are what somebody knows, so that a set of them alone is one factor: add another, such as otp"
type AuthenticationMethods []AuthenticationMethod

// AuthenticationContext is a value of the claim acr, which is the provider's own word.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="a context is one word of visible characters, as it stands in the claim acr"
type AuthenticationContext string

// MFASpec says what login a person needs who gets into the pods or changes what runs there. An empty one asks for its defaults.
//
// +kubebuilder:validation:MinProperties=1
type MFASpec struct {
	// enforcement of logins. Default: spec.enforcement.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// maxAge is how long ago the login may be when the request is made, such as 12h; at least 5m. A session that is open is not looked at again.
	// +optional
	// +kubebuilder:default="12h"
	MaxAge LoginAge `json:"maxAge,omitempty"`

	// methods are sets of authentication methods (the claim amr, RFC 8176), such as [[mfa], [hwk], [pwd, otp]]: all of one set have to be in the
	// login. Default: what the IdentityProvider says, else [[mfa]].
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Methods []AuthenticationMethods `json:"methods,omitempty"`

	// contexts are authentication context classes (the claim acr), of which the login has one, beside its methods. Default: what the IdentityProvider says.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Contexts []AuthenticationContext `json:"contexts,omitempty"`

	// covers says what is asked about: Access is a way into a pod, Change is what runs there. Default: both. Without Change, whoever may edit a
	// Deployment needs no login to run a command in its pods.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Covers []AccessCover `json:"covers,omitempty"`

	// onUnproven says what happens where the provider of a login, or the cluster, cannot prove what is asked for: Deny (default) or Warn. A login that is
	// not good enough is refused either way.
	// +optional
	// +kubebuilder:default=Deny
	OnUnproven OnUnproven `json:"onUnproven,omitempty"`
}
