// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labguard/labguard/internal/posture"
)

const (
	// annotationCreated is the OCI image-spec's annotation for the instant at which an image was built; Docker images carry it as a label.
	annotationCreated = "org.opencontainers.image.created"
	// annotationReference marks the attestation manifests that BuildKit puts into an index beside the images.
	annotationReference = "vnd.docker.reference.type"
)

// accepted is what labguard can read; schema 1 is not in it.
var accepted = []types.MediaType{types.OCIImageIndex, types.DockerManifestList, types.OCIManifestSchema1, types.DockerManifestSchema2}

// invalidError says in plain words why an answer is no image.
type invalidError struct{ detail string }

func (e *invalidError) Error() string { return e.detail }

func invalidf(format string, args ...any) error {
	return &invalidError{detail: fmt.Sprintf(format, args...)}
}

// noPlatformError says that an index has no image for a platform.
type noPlatformError struct{ wanted posture.Platform }

func (e *noPlatformError) Error() string {
	if e.wanted == (posture.Platform{}) {
		return "the index lists no image"
	}
	return fmt.Sprintf("the index has no image for %s", e.wanted)
}

// manifest is what labguard reads of an image manifest or an index.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	Config        *v1.Descriptor    `json:"config"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Annotations   map[string]string `json:"annotations"`
}

// parseManifest reads a body that was verified already. contentType is only asked where the body does not say what it is, as the
// digest does not cover it.
func parseManifest(body []byte, contentType string) (manifest, error) {
	var m manifest
	if isSchema1(contentType) {
		return m, errSchema1()
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return manifest{}, invalidf("the manifest cannot be parsed")
	}
	if m.SchemaVersion == 1 || isSchema1(string(m.MediaType)) {
		return manifest{}, errSchema1()
	}
	// A document that is both means one image to one reader and another to the next (CVE-2021-41190).
	if m.Config != nil && m.Manifests != nil {
		return manifest{}, invalidf("the manifest claims to be an image and an index at once")
	}
	if m.Config == nil && m.Manifests == nil && !m.MediaType.IsIndex() {
		return manifest{}, invalidf("the manifest is neither an image nor an index")
	}
	if m.MediaType != "" && (m.MediaType.IsIndex() && m.Config != nil || m.MediaType.IsImage() && m.Manifests != nil) {
		return manifest{}, invalidf("the manifest is not of the media type that it names")
	}
	return m, nil
}

func (m manifest) isIndex() bool { return m.Config == nil }

func isSchema1(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		mediaType = contentType
	}
	return mediaType == string(types.DockerManifestSchema1) || mediaType == string(types.DockerManifestSchema1Signed)
}

func errSchema1() error {
	return invalidf("the manifest is in the retired Docker schema 1; push the image again with a current tool")
}

// choose picks the image of an index: that of the platform; if none is asked for, that of linux/amd64, else the first real one.
func (m manifest) choose(wanted posture.Platform) (v1.Descriptor, error) {
	images := m.images()
	if wanted != (posture.Platform{}) {
		if chosen, found := match(images, wanted); found {
			return chosen, nil
		}
		return v1.Descriptor{}, &noPlatformError{wanted: wanted}
	}
	if chosen, found := match(images, posture.Platform{OS: "linux", Architecture: "amd64"}); found {
		return chosen, nil
	}
	if len(images) == 0 {
		return v1.Descriptor{}, &noPlatformError{}
	}
	return images[0], nil
}

// images leaves out the attestations: they have a marker annotation, or the platform unknown/unknown.
func (m manifest) images() []v1.Descriptor {
	var images []v1.Descriptor
	for _, descriptor := range m.Manifests {
		if _, marked := descriptor.Annotations[annotationReference]; marked {
			continue
		}
		if p := descriptor.Platform; p != nil && (p.OS == "unknown" || p.Architecture == "unknown") {
			continue
		}
		if descriptor.Digest.Hex == "" {
			continue
		}
		images = append(images, descriptor)
	}
	return images
}

// match prefers the very variant, then takes any of the architecture unless both sides name different ones.
func match(images []v1.Descriptor, wanted posture.Platform) (v1.Descriptor, bool) {
	var near *v1.Descriptor
	for i, descriptor := range images {
		p := descriptor.Platform
		if p == nil || p.OS != wanted.OS || p.Architecture != wanted.Architecture {
			continue
		}
		if variant(p.Architecture, p.Variant) == variant(wanted.Architecture, wanted.Variant) {
			return descriptor, true
		}
		if near == nil && (p.Variant == "" || wanted.Variant == "") {
			near = &images[i]
		}
	}
	if near == nil {
		return v1.Descriptor{}, false
	}
	return *near, true
}

// variant fills in what is meant where none is given: v8 is the only variant of arm64 in use.
func variant(architecture, variant string) string {
	if architecture == "arm64" && variant == "" {
		return "v8"
	}
	return variant
}

// imageConfig is what labguard reads of an image's configuration. Dates are read leniently: one that is no date counts as absent.
type imageConfig struct {
	Created      date   `json:"created"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	History      []struct {
		Created date `json:"created"`
	} `json:"history"`
	Config struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

func parseConfig(body []byte) (imageConfig, error) {
	var config imageConfig
	if err := json.Unmarshal(body, &config); err != nil {
		return imageConfig{}, invalidf("the image configuration cannot be parsed")
	}
	return config, nil
}

func (c imageConfig) platform() posture.Platform {
	return posture.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
}

func (c imageConfig) newestHistory() time.Time {
	var newest time.Time
	for _, entry := range c.History {
		if entry.Created.After(newest) {
			newest = entry.Created.Time
		}
	}
	return newest
}

type date struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (d *date) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		d.Time = parseDate(text)
	}
	return nil
}

// parseDate gives the zero time for what is no date, so that it counts as absent.
func parseDate(text string) time.Time {
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return parsed.UTC()
}

// annotated is the first date that one of the maps carries.
func annotated(maps ...map[string]string) time.Time {
	for _, annotations := range maps {
		if created := parseDate(annotations[annotationCreated]); !created.IsZero() {
			return created
		}
	}
	return time.Time{}
}

// verify says whether a body is what a digest names.
func verify(what string, body []byte, digest v1.Hash) error {
	hasher, err := v1.Hasher(digest.Algorithm)
	if err != nil {
		return invalidf("the digest of the %s uses an algorithm that labguard does not know", what)
	}
	_, _ = hasher.Write(body) // hash.Hash never fails
	if hex.EncodeToString(hasher.Sum(nil)) != digest.Hex {
		return invalidf("the %s that the registry sent is not the one that the digest names", what)
	}
	return nil
}

func isImageConfig(mediaType types.MediaType) bool {
	return mediaType == types.OCIConfigJSON || mediaType == types.DockerConfigJSON || mediaType == ""
}
