// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// errNoRepository says how to name the place for the images.
var errNoRepository = errors.New("name the place for the images: make images REPOSITORY=registry.example/labguard")

// target is for which platforms images are made, and under which names.
type target struct {
	repository string
	platforms  []v1.Platform
}

func parseTarget(o options) (target, error) {
	t := target{repository: strings.TrimSuffix(o.repository, "/")}
	if t.repository == "" {
		return target{}, errNoRepository
	}
	registry, _, hasPath := strings.Cut(t.repository, "/")
	// Without a registry, clients would take Docker Hub for it, and whoever wrote this may not have meant that.
	if strings.Contains(t.repository, "://") || !hasPath || !strings.ContainsAny(registry, ".:") && registry != "localhost" {
		return target{}, fmt.Errorf("repository %q: write the registry and a path without https://, such as registry.example/labguard", o.repository)
	}
	if _, err := name.NewRepository(t.repository, name.StrictValidation); err != nil {
		return target{}, fmt.Errorf("repository %q: write a registry and a path in lower case, without tag and digest, such as registry.example/labguard: %w", o.repository, err)
	}
	for text := range strings.SplitSeq(o.platforms, ",") {
		platform, err := parsePlatform(strings.TrimSpace(text))
		if err != nil {
			return target{}, err
		}
		if slices.ContainsFunc(t.platforms, platform.Equals) {
			return target{}, fmt.Errorf("platform %s stands there twice", platform)
		}
		t.platforms = append(t.platforms, platform)
	}
	return t, nil
}

// parsePlatform takes linux/<architecture>: airlock writes rules of Linux.
func parsePlatform(text string) (v1.Platform, error) {
	system, architecture, _ := strings.Cut(text, "/")
	if system != "linux" || architecture == "" || strings.Contains(architecture, "/") {
		return v1.Platform{}, fmt.Errorf("platform %q: write linux and an architecture of Go, such as linux/amd64", text)
	}
	return v1.Platform{OS: system, Architecture: architecture}, nil
}

// name is the name of an image without tag and digest.
func (t target) name(m made) string { return t.repository + "/" + m.program.Name }

// digest is the reference of an image that can never mean another one.
func (t target) digest(m made) string { return t.name(m) + "@" + m.digest.String() }

// tag is the reference of an image by its version.
func (t target) tag(m made) string { return t.name(m) + ":" + m.origin.Version }
