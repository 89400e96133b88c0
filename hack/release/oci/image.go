// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// executable is the mode of the program: nobody may write to it.
const executable = 0o555

// Program is what an image is made for.
type Program struct {
	// Name is the name of the image, and of the file in it.
	Name string
	// Title and Description tell people what it is.
	Title, Description string
	// UserID is who it runs as where nobody says otherwise. It is the group as well, since without one that would be root's.
	UserID int
}

// File is where the program is in its image.
func (p Program) File() string { return "/" + p.Name }

// Origin is where a program comes from.
type Origin struct {
	// Source is the address of the repository, Revision the commit.
	Source, Revision string
	// Version is what the Go command makes of the tags and the commit.
	Version string
	// Created is the time of the commit.
	Created time.Time
	// License is an SPDX expression.
	License string
}

// Annotations are those of the OCI image specification. They stand on images and indexes, and as labels in the configuration, where older
// tools look for them.
func Annotations(p Program, from Origin) map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       p.Title,
		"org.opencontainers.image.description": p.Description,
		"org.opencontainers.image.source":      from.Source,
		"org.opencontainers.image.revision":    from.Revision,
		"org.opencontainers.image.version":     from.Version,
		"org.opencontainers.image.created":     from.Created.UTC().Format(time.RFC3339),
		"org.opencontainers.image.licenses":    from.License,
	}
}

// Image is the image of a program that was compiled for a platform.
func Image(p Program, from Origin, platform v1.Platform, program []byte) (v1.Image, error) {
	layer, err := layer(p, from, program)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: from.Created.UTC()}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: created, CreatedBy: "make images", Comment: p.File()}})
	if err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	config = config.DeepCopy()
	config.Created = created
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config = v1.Config{
		Entrypoint: []string{p.File()}, User: strconv.Itoa(p.UserID) + ":" + strconv.Itoa(p.UserID), WorkingDir: "/", Labels: Annotations(p, from),
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	annotated, ok := mutate.Annotations(image, Annotations(p, from)).(v1.Image)
	if !ok {
		return nil, fmt.Errorf("annotate the image: got %T", annotated)
	}
	return annotated, nil
}

// layer has the program as its only file, with the time of the commit.
func layer(p Program, from Origin, program []byte) (v1.Layer, error) {
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: p.File()[1:], Mode: executable, Size: int64(len(program)), ModTime: from.Created.UTC().Truncate(time.Second),
		Format: tar.FormatUSTAR,
	}
	if err := archive.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	if _, err := archive.Write(program); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.DefaultCompression), tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	return made, nil
}

// Built is an image and the platform that it is for.
type Built struct {
	Platform v1.Platform
	Image    v1.Image
}

// Index has one program for several platforms, in the order in which they are given.
func Index(p Program, from Origin, images []Built) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, one := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: one.Image, Descriptor: v1.Descriptor{Platform: &one.Platform}})
	}
	annotated, ok := mutate.Annotations(index, Annotations(p, from)).(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("annotate the index: got %T", annotated)
	}
	return annotated, nil
}
