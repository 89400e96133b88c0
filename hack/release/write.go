// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

// write writes an image with its lists as an OCI layout to <output>/images/<name>, and the lists as files to <output>/sbom.
func write(m made, t target, output string, say func(string, ...any)) error {
	folder := filepath.Join(output, "images", m.program.Name)
	if err := writeLayout(m, t, folder); err != nil {
		return fmt.Errorf("write the layout %s: %w", folder, err)
	}
	say("%s has %s", folder, t.tag(m))
	lists := filepath.Join(output, "sbom")
	if err := os.MkdirAll(lists, 0o755); err != nil {
		return fmt.Errorf("make the folder of the lists: %w", err)
	}
	for _, one := range m.parts {
		file := filepath.Join(lists, one.list.Title)
		if err := os.WriteFile(file, one.list.Content, 0o644); err != nil {
			return fmt.Errorf("write what is in the image: %w", err)
		}
		say("%s says what is in it for %s", file, one.Platform)
	}
	return nil
}

// writeLayout replaces what an earlier run has left there, and nothing else.
func writeLayout(m made, t target, folder string) error {
	if err := removeLayout(folder); err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	// Containerd takes the full name from its own annotation, other tools the tag from that of the specification.
	names := map[string]string{"org.opencontainers.image.ref.name": m.origin.Version, "io.containerd.image.name": t.tag(m)}
	if err := path.AppendIndex(m.index, layout.WithAnnotations(names)); err != nil {
		return err
	}
	for _, one := range m.parts {
		if err := appendReferrer(path, one); err != nil {
			return err
		}
	}
	return nil
}

// appendReferrer adds the list of an image. The index of the layout has it by its type, as there is no Referrers API in a folder.
func appendReferrer(path layout.Path, one part) error {
	if err := path.WriteImage(one.referrer); err != nil {
		return err
	}
	about, err := partial.Descriptor(one.referrer)
	if err != nil {
		return err
	}
	return path.AppendDescriptor(v1.Descriptor{MediaType: about.MediaType, Size: about.Size, Digest: about.Digest, ArtifactType: one.list.Type})
}

func removeLayout(folder string) error {
	entries, err := os.ReadDir(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(entries) == 0:
		return nil
	case err != nil:
		return err
	}
	if _, err := os.Stat(filepath.Join(folder, "oci-layout")); err != nil {
		return errors.New("there is something else, which is not overwritten")
	}
	return os.RemoveAll(folder)
}
