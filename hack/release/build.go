// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labguard/labguard/hack/release/oci"
	"github.com/labguard/labguard/hack/release/source"
	"github.com/labguard/labguard/hack/release/spdx"
	"github.com/labguard/labguard/internal/airlock/config"
)

const (
	// license is what LICENSE is, supplier who gives labguard out.
	license  = "Apache-2.0"
	supplier = "The labguard Authors"
	// managerUser is what config/manager lets the operator run as.
	managerUser = 65532
)

// program is one that gets an image.
type program struct {
	oci.Program
	// pkg is its folder in the checkout.
	pkg string
}

// programs are those that run in clusters.
func programs() []program {
	return []program{
		{pkg: "./cmd/manager", Program: oci.Program{
			Name: "manager", Title: "labguard manager", UserID: managerUser,
			Description: "The operator of labguard: its controllers and its webhooks",
		}},
		{pkg: "./cmd/airlock", Program: oci.Program{
			Name: "airlock", Title: "labguard airlock", UserID: config.UserID,
			Description: "The sidecar that speaks mutual TLS for an application that does not",
		}},
	}
}

// made is the image of a program, for all platforms.
type made struct {
	program program
	origin  oci.Origin
	index   v1.ImageIndex
	digest  v1.Hash
	parts   []part
}

// part is the image for one platform, and the list of what is in it.
type part struct {
	oci.Built
	digest v1.Hash
	list   oci.Artifact
	// referrer is the list as the registry knows it.
	referrer v1.Image
}

// build compiles all programs at the commit and puts their images together.
func build(ctx context.Context, from source.Commit, platforms []v1.Platform, say func(string, ...any)) ([]made, error) {
	scratch, err := os.MkdirTemp("", "labguard-images-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to compile in: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	checkout := filepath.Join(scratch, "checkout")
	if err := from.Checkout(ctx, checkout); err != nil {
		return nil, err
	}
	var all []made
	step, steps := 0, len(programs())*len(platforms)
	for _, p := range programs() {
		one := made{program: p}
		for _, platform := range platforms {
			step++
			say("%d of %d: compiling %s for %s (takes minutes where nothing of it is compiled yet)", step, steps, p.Name, platform)
			compiled, err := source.Compile(ctx, checkout, p.pkg, platform)
			if err != nil {
				return nil, err
			}
			if err := one.add(compiled, from, platform); err != nil {
				return nil, fmt.Errorf("make the image of %s for %s: %w", p.Name, platform, err)
			}
		}
		if err := one.finish(); err != nil {
			return nil, fmt.Errorf("make the index of %s: %w", p.Name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// add makes the image of a compiled program, and the list of what is in it.
func (m *made) add(compiled source.Binary, from source.Commit, platform v1.Platform) error {
	if err := source.Check(compiled.Build, from.Revision, platform); err != nil {
		return err
	}
	origin := oci.Origin{
		Source: "https://" + compiled.Build.Main.Path, Revision: from.Revision, Version: compiled.Build.Main.Version, Created: from.Time, License: license,
	}
	image, err := oci.Image(m.program.Program, origin, platform, compiled.Content)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("name the image: %w", err)
	}
	document, err := spdx.Describe(spdx.Subject{
		Image: m.program.Name, Digest: digest.String(), OS: platform.OS, Architecture: platform.Architecture, File: m.program.File(),
		Program: compiled.Content, Build: compiled.Build, Source: origin.Source, Revision: from.Revision, License: license, Supplier: supplier,
		Created: from.Time,
	})
	if err != nil {
		return err
	}
	content, err := document.JSON()
	if err != nil {
		return err
	}
	list := oci.Artifact{
		Type: spdx.MediaType, Title: fmt.Sprintf("%s-%s-%s.spdx.json", m.program.Name, platform.OS, platform.Architecture), Content: content, Created: from.Time,
	}
	referrer, err := oci.Referrer(image, list)
	if err != nil {
		return err
	}
	m.origin = origin
	m.parts = append(m.parts, part{Built: oci.Built{Platform: platform, Image: image}, digest: digest, list: list, referrer: referrer})
	return nil
}

// finish puts the images of all platforms into one index.
func (m *made) finish() error {
	images := make([]oci.Built, len(m.parts))
	for i, one := range m.parts {
		images[i] = one.Built
	}
	var err error
	if m.index, err = oci.Index(m.program.Program, m.origin, images); err != nil {
		return err
	}
	if m.digest, err = m.index.Digest(); err != nil {
		return fmt.Errorf("name the index: %w", err)
	}
	return nil
}
