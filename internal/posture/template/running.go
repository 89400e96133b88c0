// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"regexp"
	"strings"

	"github.com/labguard/labguard/internal/posture"
)

// sha256Digest is the form of every digest that container runtimes report (OCI image-spec, descriptor.md).
var sha256Digest = regexp.MustCompile("^sha256:[a-f0-9]{64}$")

// RunningReference is the reference under which to look for what a container runs: the repository that its spec names, at the digest that
// its status names. imageID may carry a scheme (docker-pullable://), may name another repository with the same content on that node, and may
// be a bare digest: of an index, of one platform's manifest, or of a configuration, which no registry knows. ok is false if
// it has no digest, or if the spec names nothing that could be pulled.
func RunningReference(specImage, imageID string) (reference string, ok bool) {
	_, digest := splitImageID(imageID)
	if specImage == "" || !sha256Digest.MatchString(digest) {
		return "", false
	}
	reference = posture.Repository(specImage) + "@" + digest
	return reference, Valid(reference)
}

// ReportedReference is what a container runs under the name that its node gives it, which is that of another repository where the image was pulled or
// tagged under another name. ok is false if the node names no repository.
func ReportedReference(imageID string) (reference string, ok bool) {
	name, digest := splitImageID(imageID)
	if name == "" || !sha256Digest.MatchString(digest) {
		return "", false
	}
	reference = posture.Repository(name) + "@" + digest
	return reference, Valid(reference)
}

// BareDigest is the digest of an imageID that names no repository: that of the configuration, where the image was loaded into the node and never
// pulled. ok is false if the node names a repository.
func BareDigest(imageID string) (digest string, ok bool) {
	name, digest := splitImageID(imageID)
	return digest, name == "" && sha256Digest.MatchString(digest)
}

// splitImageID takes a scheme off and parts the name of the image from its digest.
func splitImageID(imageID string) (name, digest string) {
	if _, rest, found := strings.Cut(imageID, "://"); found {
		imageID = rest
	}
	if at := strings.LastIndex(imageID, "@"); at >= 0 {
		return imageID[:at], imageID[at+1:]
	}
	return "", imageID
}
