// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/sha256"
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
	// maxIndexedImages and maxPlatformBytes are what an ImageRecord takes (api/v1alpha1), and bound the memory that one index can take.
	maxIndexedImages = 256
	maxPlatformBytes = 128
)

// accepted is what labguard can read; schema 1 is not in it.
var accepted = []types.MediaType{types.OCIImageIndex, types.DockerManifestList, types.OCIManifestSchema1, types.DockerManifestSchema2}

// invalidError says in plain words why an answer is no image.
type invalidError struct{ detail string }

func (e *invalidError) Error() string { return e.detail }

func invalidf(format string, args ...any) error {
	return &invalidError{detail: fmt.Sprintf(format, args...)}
}

// unusableError says that what a digest means is no image for the one who asks.
type unusableError struct{ reason, detail string }

func (e *unusableError) Error() string { return e.detail }

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

// index is the content of an index: all its images, in its order.
func (m manifest) index() (posture.Content, error) {
	images := make([]posture.IndexedImage, 0, min(len(m.Manifests), maxIndexedImages))
	for _, descriptor := range m.Manifests {
		if isAttestation(descriptor) || descriptor.Digest.Hex == "" {
			continue
		}
		if len(images) == maxIndexedImages {
			return posture.Content{}, invalidf("the index lists more than %d images", maxIndexedImages)
		}
		images = append(images, posture.IndexedImage{
			Digest: descriptor.Digest.String(), Platform: indexedPlatform(descriptor.Platform), AnnotationCreated: annotated(descriptor.Annotations),
		})
	}
	return posture.Content{IsIndex: true, Images: images, AnnotationCreated: annotated(m.Annotations)}, nil
}

// isAttestation says whether an entry is no image: attestations have a marker annotation, or the platform unknown/unknown.
func isAttestation(descriptor v1.Descriptor) bool {
	if _, marked := descriptor.Annotations[annotationReference]; marked {
		return true
	}
	p := descriptor.Platform
	return p != nil && (p.OS == "unknown" || p.Architecture == "unknown")
}

func indexedPlatform(p *v1.Platform) posture.Platform {
	if p == nil {
		return posture.Platform{}
	}
	return recordable(posture.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
}

// recordable is a platform as its own text gives it back, so that memory and records say the same of an image whose builder wrote nonsense. One
// that is too long for a record counts as not given.
func recordable(p posture.Platform) posture.Platform {
	text := p.String()
	if len(text) > maxPlatformBytes {
		return posture.Platform{}
	}
	read := posture.ParsePlatform(text)
	if read.String() == "" {
		return posture.Platform{} // a variant alone says nothing, and no text carries it
	}
	return read
}

// image is the content of one platform's image.
func (m manifest) image(config imageConfig) posture.Content {
	content := posture.Content{
		Platform: config.platform(), Layers: layersOf(config.RootFS.DiffIDs), ConfigCreated: config.Created.Time,
		HistoryCreated: config.newestHistory(), AnnotationCreated: annotated(m.Annotations, config.Config.Labels),
	}
	if isImageConfig(m.Config.MediaType) {
		content.ConfigDigest = m.Config.Digest.String()
	}
	return content
}

// layersOf is a digest over the digests of the uncompressed layers, which are the same however a registry or a builder compresses them. It is
// empty if there are none or one is no digest: then nothing can be said about the content.
func layersOf(diffIDs []string) string {
	if len(diffIDs) == 0 {
		return ""
	}
	hasher := sha256.New()
	for _, diffID := range diffIDs {
		if _, err := v1.NewHash(diffID); err != nil {
			return ""
		}
		_, _ = hasher.Write([]byte(diffID + "\n")) // hash.Hash never fails
	}
	return "sha256:" + hex.EncodeToString(hasher.Sum(nil))
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
	RootFS struct {
		DiffIDs words `json:"diff_ids"`
	} `json:"rootfs"`
}

func parseConfig(body []byte) (imageConfig, error) {
	var config imageConfig
	if err := json.Unmarshal(body, &config); err != nil {
		return imageConfig{}, invalidf("the image configuration cannot be parsed")
	}
	return config, nil
}

func (c imageConfig) platform() posture.Platform {
	return recordable(posture.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant})
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

// words are read leniently too: what is no list of strings counts as absent.
type words []string

// UnmarshalJSON implements json.Unmarshaler.
func (w *words) UnmarshalJSON(raw []byte) error {
	var texts []string
	if json.Unmarshal(raw, &texts) == nil {
		*w = texts
	}
	return nil
}

// parseDate gives the zero time for what is no date, so that it counts as absent.
func parseDate(text string) time.Time {
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return posture.Moment(parsed)
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
