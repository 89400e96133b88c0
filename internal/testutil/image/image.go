// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Program is an image to be made.
type Program struct {
	// Package is the import path of the Go program, or its folder where it begins
	// with a dot.
	Package string
	// Repository is the name of the image in the registry, "lab/engine" for instance.
	Repository string
	// User is who the program runs as; empty is root.
	User string
	// Created is when the image says it was made; zero is now.
	Created time.Time
	// Files are further files by their absolute path. Folders are made.
	Files map[string][]byte
	// LDFlags and Tags go to the compiler.
	LDFlags, Tags string
}

// Push compiles the program, makes the image and pushes it to registry, a
// host:port. It returns repository:tag, with a tag made of the digest, so that
// other content has another reference.
func Push(tb testing.TB, registry string, p Program) string {
	tb.Helper()
	reference, err := p.push(tb.Context(), registry, filepath.Join(tb.TempDir(), path.Base(p.Package)))
	if err != nil {
		tb.Fatalf("make image %s: %v", p.Repository, err)
	}
	return reference
}

// PushFile is Push for a program that is compiled already, statically, as file.
func PushFile(ctx context.Context, registry, file string, p Program) (string, error) {
	image, err := p.image(file)
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("name the image: %w", err)
	}
	const enough = 12
	repositoryAndTag := p.Repository + ":" + digest.Hex[:enough]
	parsed, err := name.ParseReference(registry+"/"+repositoryAndTag, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("name the image: %w", err)
	}
	if err := remote.Write(parsed, image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push: %w", err)
	}
	return repositoryAndTag, nil
}

func (p Program) push(ctx context.Context, registry, file string) (string, error) {
	if err := p.compile(ctx, file); err != nil {
		return "", err
	}
	return PushFile(ctx, registry, file, p)
}

// compile makes a program that needs no other file. The go command caches it.
func (p Program) compile(ctx context.Context, file string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-tags", p.Tags, "-ldflags", "-s -w "+p.LDFlags, "-o", file, p.Package)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w: %s", p.Package, err, out)
	}
	return nil
}

// image is the one with the program in file as /<name of the file>.
func (p Program) image(file string) (v1.Image, error) {
	entry := "/" + filepath.Base(file)
	content, err := p.layer(file, entry)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithCompressionLevel(1), tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("make the layer: %w", err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, fmt.Errorf("add the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: p.Created.UTC()}
	if p.Created.IsZero() {
		config.Created = v1.Time{Time: time.Now().UTC()}
	}
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config.Entrypoint, config.Config.User = []string{entry}, p.User
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return image, nil
}

// layer is a tar with the program in file as entry, and the further files.
func (p Program) layer(file, entry string) ([]byte, error) {
	program, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("read the program: %w", err)
	}
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	const (
		executable = 0o755
		plain      = 0o644
		// A folder that everybody may write to, as programs expect /tmp.
		temporary = 0o1777
	)
	headers := []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "tmp/", Mode: temporary},
		{Typeflag: tar.TypeReg, Name: entry[1:], Mode: executable, Size: int64(len(program))},
	}
	contents := map[string][]byte{entry[1:]: program}
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		headers = append(headers, &tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: plain, Size: int64(len(p.Files[name]))})
		contents[name[1:]] = p.Files[name]
	}
	for _, h := range headers {
		h.ModTime = cmp.Or(p.Created, time.Unix(0, 0)).UTC()
		if err := archive.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("write the layer: %w", err)
		}
		if _, err := archive.Write(contents[h.Name]); err != nil {
			return nil, fmt.Errorf("write the layer: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("write the layer: %w", err)
	}
	return content.Bytes(), nil
}
