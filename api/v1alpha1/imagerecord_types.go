// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ImageRecordName is the name of the record of a digest: sha256:<hex> becomes sha256-<hex>, as a name has no colon.
func ImageRecordName(digest string) string { return strings.Replace(digest, ":", "-", 1) }

// ImageRecordSpec is what one digest says. It was verified against the digest before it was written, and never changes.
//
// +kubebuilder:validation:XValidation:rule="has(self.image) != has(self.index)",message="a digest is either of an image or of an index"
type ImageRecordSpec struct {
	// digest is the digest of the manifest or of the index, such as sha256:...
	// +required
	// +kubebuilder:validation:MinLength=71
	// +kubebuilder:validation:MaxLength=71
	// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[a-f0-9]{64}$')",message="digest is sha256: and 64 lower-case hexadecimal digits"
	Digest string `json:"digest,omitempty"`

	// reference is the image reference under which the digest was first found, such as registry.example/lab/lis:2.4.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reference string `json:"reference,omitempty"`

	// firstSeen is when labguard first read it.
	// +required
	FirstSeen metav1.Time `json:"firstSeen,omitzero"`

	// image is what the manifest of one platform's image says.
	// +optional
	Image *ImageContent `json:"image,omitempty"`

	// index is what an index of several platforms says.
	// +optional
	Index *IndexContent `json:"index,omitempty"`
}

// ImageContent is what the manifest of one platform's image, and the configuration that it names, say.
//
// +kubebuilder:validation:MinProperties=1
type ImageContent struct {
	// platform is operating system, architecture and variant, such as linux/arm64/v8.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Platform string `json:"platform,omitempty"`

	// configDigest is the digest of the image configuration. Nodes report it for images that were loaded by hand.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ConfigDigest string `json:"configDigest,omitempty"`

	// layers is a digest over the digests of the uncompressed layers in order: equal for images with the same files.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Layers string `json:"layers,omitempty"`

	// created is the creation date in the configuration.
	// +optional
	Created *metav1.Time `json:"created,omitempty"`

	// newestHistory is the newest date in the history of the configuration.
	// +optional
	NewestHistory *metav1.Time `json:"newestHistory,omitempty"`

	// annotation is org.opencontainers.image.created of the manifest, or the label of that name in the configuration.
	// +optional
	Annotation *metav1.Time `json:"annotation,omitempty"`
}

// IndexContent is what an index of several platforms says.
type IndexContent struct {
	// annotation is org.opencontainers.image.created of the index.
	// +optional
	Annotation *metav1.Time `json:"annotation,omitempty"`

	// images are the images of the index, without attestations, in the order of the index.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=256
	Images []IndexedImage `json:"images,omitzero"`
}

// IndexedImage is one image of an index.
type IndexedImage struct {
	// digest is the digest of its manifest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Digest string `json:"digest,omitempty"`

	// platform is operating system, architecture and variant, such as linux/arm64/v8; absent if the index does not say.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Platform string `json:"platform,omitempty"`

	// annotation is org.opencontainers.image.created of its entry in the index.
	// +optional
	Annotation *metav1.Time `json:"annotation,omitempty"`
}

// ImageRecordStatus is whether anything refers to the digest.
//
// +kubebuilder:validation:MinProperties=1
type ImageRecordStatus struct {
	// unusedSince is when the last reference to the digest was gone; 30 days later the record is deleted.
	// +optional
	UnusedSince *metav1.Time `json:"unusedSince,omitempty"`
}

// ImageRecord keeps the facts about one image digest. All of them together are the image inventory of the cluster. Only labguard writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ir,categories=labguard
// +kubebuilder:printcolumn:name="Reference",type=string,JSONPath=`.spec.reference`
// +kubebuilder:printcolumn:name="Platform",type=string,JSONPath=`.spec.image.platform`
// +kubebuilder:printcolumn:name="Created",type=string,JSONPath=`.spec.image.created`
// +kubebuilder:printcolumn:name="First-Seen",type=string,JSONPath=`.spec.firstSeen`
// +kubebuilder:printcolumn:name="Newest-History",type=string,priority=1,JSONPath=`.spec.image.newestHistory`
// +kubebuilder:printcolumn:name="Annotation",type=string,priority=1,JSONPath=`.spec['image','index'].annotation`
// +kubebuilder:printcolumn:name="Unused-Since",type=date,priority=1,JSONPath=`.status.unusedSince`
// +kubebuilder:printcolumn:name="Config",type=string,priority=1,JSONPath=`.spec.image.configDigest`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == self.spec.digest.replace(':', '-')",message="metadata.name is the digest with - in place of the colon"
type ImageRecord struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the digest says.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="what a digest says never changes"
	Spec ImageRecordSpec `json:"spec,omitzero"`

	// status is whether anything refers to the digest.
	// +optional
	Status ImageRecordStatus `json:"status,omitzero"`
}

// ImageRecordList is a list of ImageRecords.
//
// +kubebuilder:object:root=true
type ImageRecordList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ImageRecord `json:"items"`
}
