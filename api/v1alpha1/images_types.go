// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// OnStale says what happens to a rollout that brings a stale image.
//
// +kubebuilder:validation:Enum=Deny;Hold;Warn
type OnStale string

const (
	// OnStaleDeny refuses the write that brings the image.
	OnStaleDeny OnStale = "Deny"
	// OnStaleHold lets the write through and keeps it from rolling out until its images are fine. What cannot be held is refused.
	OnStaleHold OnStale = "Hold"
	// OnStaleWarn lets the write through with a warning and records the image as admitted.
	OnStaleWarn OnStale = "Warn"
)

// ImageDuration is a length of time in hours, minutes and seconds, such as 2160h (90 days).
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$')",message="write hours, minutes and seconds, such as 2160h for 90 days"
// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self) <= duration('87600h')",message="is more than ten years (87600h): write a shorter time, such as 2160h for 90 days"
type ImageDuration string

// ImagesSpec says how old the images of the pods may be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.warnBefore) || !self.warnBefore.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || !self.maxAge.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self.warnBefore) < duration(self.maxAge)",message="images.warnBefore must be shorter than images.maxAge, or every image warns from its first day"
// +kubebuilder:validation:XValidation:rule="!has(self.minAge) || !self.minAge.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || !self.maxAge.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self.minAge) < duration(self.maxAge)",message="images.minAge must be shorter than images.maxAge, or no image ever passes"
type ImagesSpec struct {
	// enforcement of image age. Default: spec.enforcement.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// maxAge is the age from which an image is stale, counted from its creation, such as 2160h for 90 days; at least 1h.
	// +required
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self) >= duration('1h')",message="images.maxAge must be at least 1h"
	MaxAge ImageDuration `json:"maxAge,omitempty"`

	// minAge is the age below which an image is too young, such as 72h: time in which others find out that a build was tampered with. It is
	// counted from the same date as maxAge, and onStale says what a rollout that brings such an image meets. Default: none.
	// +optional
	MinAge ImageDuration `json:"minAge,omitempty"`

	// warnBefore is how long before it goes stale an image is reported. Default: 336h, or a quarter of maxAge if that is shorter.
	// +optional
	WarnBefore ImageDuration `json:"warnBefore,omitempty"`

	// onStale says what happens to a rollout that brings a stale image: Deny (default) refuses it, Hold accepts the write and keeps it from
	// rolling out, Warn lets it through with a warning. Restarts, scaling and rollback to admitted images are never touched.
	//
	// Held are: Deployments (paused), new Jobs and new CronJobs (suspend), StatefulSets (partition and scheduling gate), new DaemonSets and bare pods
	// (scheduling gate). labguard gives the earlier value back when the images are fine, such as after a fresh build was pushed under the same
	// tag. Everything else is refused under Hold too: updates of DaemonSets and CronJobs, updateStrategy OnDelete, hooks of Helm and Argo CD.
	//
	// Before you choose Hold: kubectl refuses rollout undo and rollout restart of a held Deployment (revert the image in Git instead, which
	// labguard lets roll out); a change of settings waits with the held image; a new held Deployment has no pods, so that helm --wait and the health
	// checks of Flux run into their time-out and Argo CD shows Suspended; a DaemonSet in service is refused, not held.
	// +optional
	// +kubebuilder:default=Deny
	OnStale OnStale `json:"onStale,omitempty"`

	// onUnknownAge says what happens to a rollout that brings an image whose age nobody can know (no credentials, no plausible date,
	// registry silent): Warn (default), Hold or Deny.
	// +optional
	// +kubebuilder:default=Warn
	OnUnknownAge OnStale `json:"onUnknownAge,omitempty"`

	// exempt lists images that are not judged, each with a reason and an end.
	// +optional
	// +listType=map
	// +listMapKey=pattern
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:MinItems=0
	Exempt []ImageExemption `json:"exempt,omitempty"`
}

// ImageExemption is a set of images that are not judged, for a reason and until an end.
type ImageExemption struct {
	// pattern is an image repository with registry, such as registry.example/vendor/lis; a final /* matches every repository below.
	// Tag and digest do not take part.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*(/[*])?$') && self.contains('/')",message="images.exempt: pattern is a repository with its registry and without a tag, such as registry.example/vendor/lis or registry.example/vendor/*"
	Pattern string `json:"pattern,omitempty"`

	// reason says why, for whoever reads the report.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// expires is the instant at which the exemption ends.
	// +required
	Expires metav1.Time `json:"expires,omitzero"`
}

// ImageStatus is one distinct image and what is known of its age.
type ImageStatus struct {
	// reference is the image as the workload declares it.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:MinLength=1
	Reference string `json:"reference,omitempty"`

	// digest is the digest that the reference means, or that pods run.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:MinLength=1
	Digest string `json:"digest,omitempty"`

	// platform is the operating system and architecture that the age belongs to, such as linux/amd64.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Platform string `json:"platform,omitempty"`

	// answer is Fresh, Stale, TooYoung, Unknown or Exempt.
	// +required
	// +kubebuilder:validation:Enum=Fresh;Stale;TooYoung;Unknown;Exempt
	Answer string `json:"answer,omitempty"`

	// reason is one word for the answer, such as ImageFresh, ImageStale, CredentialsNotReadable.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Reason string `json:"reason,omitempty"`

	// created is when the image was made, if known.
	// +optional
	Created *metav1.Time `json:"created,omitempty"`

	// evidence names what created rests on: Config, History or Annotation.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Evidence string `json:"evidence,omitempty"`

	// staleAt is when the image goes stale, or went.
	// +optional
	StaleAt *metav1.Time `json:"staleAt,omitempty"`

	// fresher is the digest of a fresher build that the same tag means by now; None if the tag has no fresher one. Absent if that is not known,
	// as for a reference without a tag.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:MinLength=1
	Fresher string `json:"fresher,omitempty"`

	// sameContentSince is when an image with the very same layers was made, or first seen, in the same repository, if that is earlier than
	// created: it was built anew, and its files are older than it says. It is reported and refuses nothing.
	// +optional
	SameContentSince *metav1.Time `json:"sameContentSince,omitempty"`

	// admission says why the gate has let the image in (Fresh, Exempt, Warned, PreExisting, Audit, Recovery, EnteredUngoverned),
	// or RanWithoutAdmission or OwnerMismatch if it has not.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Admission string `json:"admission,omitempty"`

	// declared says whether a workload object declares the image.
	// +optional
	Declared bool `json:"declared,omitempty"`

	// pods is how many pods run it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Pods int32 `json:"pods,omitempty"`
}

// HeldRollout is a root workload that is kept from rolling out what it declares.
type HeldRollout struct {
	// kind of the workload, such as Deployment.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the workload.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// reason is RolloutHeld, or HeldMidRollout if the hold came while an earlier rollout of a Deployment had not finished.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// images are the declared images that it waits for, at most 10.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Images []string `json:"images,omitempty"`

	// since is when labguard first saw it held.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}
