// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// created is when all of these images say that they were made: the same program
// makes the same image.
var created = time.Unix(0, 0).UTC()

// Push makes an image of the program in file, which has to be static, pushes it to
// repository and returns its reference, which has a tag made of its digest.
func Push(ctx context.Context, repository, file string) (reference string, err error) {
	image, err := ofProgram(file)
	if err != nil {
		return "", fmt.Errorf("make image %s: %w", repository, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("make image %s: %w", repository, err)
	}
	const enough = 12
	reference = repository + ":" + digest.Hex[:enough]
	parsed, err := name.ParseReference(reference, name.StrictValidation)
	if err != nil {
		return "", fmt.Errorf("push image: %w", err)
	}
	if err := remote.Write(parsed, image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push image %s: %w", reference, err)
	}
	return reference, nil
}

func ofProgram(file string) (v1.Image, error) {
	entry := "/" + path.Base(file)
	content, err := layerContent(file, entry)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithCompressionLevel(1), tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: created}
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint = []string{entry}
	return mutate.ConfigFile(image, config)
}

// layerContent is a tar with the program in file as entry.
func layerContent(file, entry string) ([]byte, error) {
	program, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: entry[1:], Mode: 0o755, Size: int64(len(program)), ModTime: created}
	if err := archive.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := archive.Write(program); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}
