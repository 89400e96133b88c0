// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import "strings"

// maxReference is the length in bytes of the longest image reference that is looked at: repositories have at most 255 characters,
// tags 128, and the API takes 1024.
const maxReference = 1024

// dockerHub is the registry of references that name none.
const dockerHub = "docker.io"

// ValidReference says whether a reference can be one: printable ASCII without white space, at most 1024 bytes. The API server accepts
// more in a pod template, which no runtime can pull. Such a reference is never recorded as admitted, since the list of admitted
// references is separated by white space and would turn one into several.
func ValidReference(reference string) bool {
	return reference != "" && len(reference) <= maxReference &&
		!strings.ContainsFunc(reference, func(r rune) bool { return r <= ' ' || r > '~' })
}

// matchesRepository says whether a pattern (a repository, or a prefix that ends in /*) covers a reference, tag and digest left out.
func matchesRepository(pattern, reference string) bool {
	repository := Repository(reference)
	if prefix, found := strings.CutSuffix(pattern, "/*"); found {
		return strings.HasPrefix(repository, canonicalHub(prefix+"/"))
	}
	return repository == Repository(pattern)
}

// Repository is the repository of an image reference with its registry, as the container runtimes read it: without tag and digest,
// with docker.io and library/ filled in (the familiar names of github.com/distribution/reference).
func Repository(reference string) string {
	repository, _, _ := strings.Cut(reference, "@")
	slash := strings.LastIndex(repository, "/")
	if colon := strings.LastIndex(repository, ":"); colon > slash {
		repository = repository[:colon]
	}
	first, _, found := strings.Cut(repository, "/")
	if !found || !strings.ContainsAny(first, ".:") && first != "localhost" && first == strings.ToLower(first) {
		repository = dockerHub + "/" + repository
	}
	repository = canonicalHub(repository)
	if name, found := strings.CutPrefix(repository, dockerHub+"/"); found && !strings.Contains(name, "/") {
		return dockerHub + "/library/" + name
	}
	return repository
}

// canonicalHub replaces the old name of Docker Hub.
func canonicalHub(repository string) string {
	if name, found := strings.CutPrefix(repository, "index.docker.io/"); found {
		return dockerHub + "/" + name
	}
	return repository
}

// MutableTag says whether a reference has no digest and either no tag or the tag latest, so that it means another image each day.
func MutableTag(reference string) bool {
	if strings.Contains(reference, "@") {
		return false
	}
	slash, colon := strings.LastIndex(reference, "/"), strings.LastIndex(reference, ":")
	return colon <= slash || reference[colon+1:] == "latest"
}
