// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The configuration of an artifact that has none (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const (
	emptyConfigType = types.MediaType("application/vnd.oci.empty.v1+json")
	emptyConfig     = "{}"
)

// Artifact is a file that says something about an image.
type Artifact struct {
	// Type is its media type, by which clients ask for it.
	Type string
	// Title is the name of the file for who downloads it.
	Title   string
	Content []byte
	Created time.Time
}

// Referrer is the manifest of an artifact that has the image as its subject, so that registries list it as a referrer of the image.
func Referrer(subject v1.Image, a Artifact) (v1.Image, error) {
	about, err := partial.Descriptor(subject)
	if err != nil {
		return nil, fmt.Errorf("describe the subject: %w", err)
	}
	blob := static.NewLayer(a.Content, types.MediaType(a.Type))
	content, err := partial.Descriptor(blob)
	if err != nil {
		return nil, fmt.Errorf("describe the artifact: %w", err)
	}
	content.Annotations = map[string]string{"org.opencontainers.image.title": a.Title}
	config, err := partial.Descriptor(static.NewLayer([]byte(emptyConfig), emptyConfigType))
	if err != nil {
		return nil, fmt.Errorf("describe the empty configuration: %w", err)
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: a.Type, Config: *config, Layers: []v1.Descriptor{*content},
		Subject:     &v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest},
		Annotations: map[string]string{"org.opencontainers.image.created": a.Created.UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	image, err := partial.CompressedToImage(&artifact{manifest: manifest, blob: blob})
	if err != nil {
		return nil, fmt.Errorf("put the artifact together: %w", err)
	}
	return image, nil
}

// artifact is the least that go-containerregistry needs to push a manifest and its one blob.
type artifact struct {
	manifest []byte
	blob     v1.Layer
}

// MediaType implements partial.CompressedImageCore.
func (*artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawManifest implements partial.CompressedImageCore.
func (a *artifact) RawManifest() ([]byte, error) { return a.manifest, nil }

// RawConfigFile implements partial.CompressedImageCore.
func (*artifact) RawConfigFile() ([]byte, error) { return []byte(emptyConfig), nil }

// LayerByDigest implements partial.CompressedImageCore.
func (a *artifact) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	own, err := a.blob.Digest()
	if err != nil {
		return nil, err
	}
	if own != digest {
		return nil, errors.New("the artifact has no blob " + digest.String())
	}
	return a.blob, nil
}
