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
	if _, rest, found := strings.Cut(imageID, "://"); found {
		imageID = rest
	}
	digest := imageID[strings.LastIndex(imageID, "@")+1:]
	if specImage == "" || !sha256Digest.MatchString(digest) {
		return "", false
	}
	reference = posture.Repository(specImage) + "@" + digest
	return reference, Valid(reference)
}
