// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import "time"

// Evidence names what an image's creation time rests on, so that dates of different meaning are never mixed.
type Evidence string

const (
	// EvidenceConfig is config.created of the image configuration (OCI image-spec, config.md).
	EvidenceConfig Evidence = "Config"
	// EvidenceHistory is the newest history[].created of the image configuration, if it is newer than config.created.
	EvidenceHistory Evidence = "History"
	// EvidenceAnnotation is the annotation org.opencontainers.image.created of the manifest or its label in the configuration.
	EvidenceAnnotation Evidence = "Annotation"
)

// Platform is an operating system and architecture, such as linux/amd64. The zero value means "not known".
type Platform struct {
	OS, Architecture, Variant string
}

// String gives os/architecture[/variant], and nothing for the zero value.
func (p Platform) String() string {
	if p.OS == "" && p.Architecture == "" {
		return ""
	}
	if p.Variant != "" {
		return p.OS + "/" + p.Architecture + "/" + p.Variant
	}
	return p.OS + "/" + p.Architecture
}

// ImageQuery asks for the facts about one image as one pod would pull it.
type ImageQuery struct {
	// Reference is the image as the pod declares it.
	Reference string
	// Platform is where it runs, or is meant to. Zero: the registry adapter takes linux/amd64 if the index has it, else the first image.
	Platform Platform
	// Namespace, ServiceAccount and PullSecrets (names of Secrets) say whose credentials the kubelet would use.
	Namespace      string
	ServiceAccount string
	PullSecrets    []string
}

// ImageFacts is what is known about one image digest. Facts never change; ages do. The zero value knows nothing.
type ImageFacts struct {
	// Digest is what the reference means (of an index, the digest of the index), such as sha256:...; empty if not known.
	Digest string
	// ChildDigest is the digest of the platform's manifest where Digest is an index.
	ChildDigest string
	// Platform is the platform that the dates belong to.
	Platform Platform
	// ConfigDigest is the digest of the image configuration; empty if not known.
	ConfigDigest string
	// ConfigCreated, HistoryCreated (the newest entry) and AnnotationCreated are the dates as the image carries them; zero if it carries none.
	ConfigCreated, HistoryCreated, AnnotationCreated time.Time
	// SameContentSince is when an image with the very same layers was made, or first seen, in the same repository; zero if not known. It is
	// reported and decides nothing: else anybody who pushes a copy with an old date could stop the rollouts of others.
	SameContentSince time.Time
	// Unknown is the reason for which nothing is known, such as RegistryUnreachable (reasons in api/v1alpha1); empty when facts are there.
	Unknown string
	// Detail is one line for a person about Unknown, without secrets.
	Detail string
	// ResolvedAt is when the reference was resolved to Digest.
	ResolvedAt time.Time
}
