// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"regexp"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// maxReferenceBytes bounds what is parsed; registries take at most 255 characters of repository and 128 of tag.
const maxReferenceBytes = 1024

// The grammar of the OCI distribution specification ("Pulling manifests"). go-containerregistry only looks at the characters, and lets
// through what would change the path of a request, such as "..".
var (
	repositoryGrammar = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagGrammar        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// target is a parsed reference.
type target struct {
	repository name.Repository
	// tag or digest; digest wins if a reference has both, as with every container runtime.
	tag, digest string
}

func parseReference(reference string) (target, error) {
	if len(reference) > maxReferenceBytes {
		return target{}, errors.New("the reference is too long")
	}
	parsed, err := name.ParseReference(reference, name.WeakValidation)
	if err != nil {
		return target{}, err
	}
	t := target{repository: parsed.Context()}
	if !repositoryGrammar.MatchString(t.repository.RepositoryStr()) {
		return target{}, errors.New("the repository is not of the form that registries take")
	}
	if digest, ok := parsed.(name.Digest); ok {
		if _, err := v1.NewHash(digest.DigestStr()); err != nil {
			return target{}, err
		}
		t.digest = digest.DigestStr()
		return t, nil
	}
	if t.tag = parsed.Identifier(); !tagGrammar.MatchString(t.tag) {
		return target{}, errors.New("the tag is not of the form that registries take")
	}
	return t, nil
}

// hostOf is how people write the host of a registry.
func hostOf(registry name.Registry) string {
	if registry.RegistryStr() == name.DefaultRegistry {
		return "docker.io"
	}
	return registry.RegistryStr()
}
