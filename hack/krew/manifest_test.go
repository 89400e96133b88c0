// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestTheManifestIsWhatKrewTakes holds the manifest against what Krew's index demands of one.
func TestTheManifestIsWhatKrewTakes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../.krew.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var made []string
	filled, err := fill(text, "v1.2.3", func(name string) (string, error) {
		made = append(made, name)
		return sumOf([]byte(name)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		APIVersion, Kind string
		Metadata         struct{ Name string }
		Spec             struct {
			Version, Homepage, ShortDescription, Description, Caveats string
			Platforms                                                 []struct {
				URI, SHA256, Bin string
				Selector         struct{ MatchLabels struct{ OS, Arch string } }
			}
		}
	}
	if err := yaml.UnmarshalStrict(filled, &manifest); err != nil {
		t.Fatalf("%v\n%s", err, filled)
	}
	spec := manifest.Spec
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" || manifest.Metadata.Name != "labguard" || spec.Version != "v1.2.3" {
		t.Errorf("%+v", manifest)
	}
	if spec.ShortDescription == "" || len(spec.ShortDescription) > 50 || strings.HasSuffix(spec.ShortDescription, ".") || spec.Description == "" || spec.Homepage == "" {
		t.Errorf("short description %q, description %q", spec.ShortDescription, spec.Description)
	}
	var platforms []string
	for i, one := range spec.Platforms {
		system, architecture, err := platformOf(one.URI)
		labels := one.Selector.MatchLabels
		if err != nil || system != labels.OS || architecture != labels.Arch || !strings.HasSuffix(one.URI, "/v1.2.3/"+made[i]) || one.SHA256 != sumOf([]byte(made[i])) {
			t.Errorf("%+v: %v", one, err)
		}
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(one.SHA256) || strings.HasSuffix(one.Bin, ".exe") != (system == "windows") {
			t.Errorf("%+v", one)
		}
		platforms = append(platforms, system+"/"+architecture)
	}
	if want := []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %v, want %v", platforms, want)
	}
	if _, err := fill(text, "v1.2.3", func(string) (string, error) { return "", errors.New("no") }); err == nil {
		t.Error("an archive that cannot be made is no failure")
	}
}

func TestAnArchiveHasProgramAndLicenceAndIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	files := []packed{{"kubectl-labguard", 0o755, []byte("program")}, {"LICENSE", 0o644, []byte("licence")}}
	at := time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	one, err := pack(files, at)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := pack(files, at); err != nil || !bytes.Equal(one, other) {
		t.Errorf("two archives of the same files differ: %v", err)
	}
	expanded, err := gzip.NewReader(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(expanded)
	for _, want := range files {
		header, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil || header.Name != want.name || header.Mode != want.mode || !bytes.Equal(content, want.content) || !header.ModTime.Equal(at) {
			t.Errorf("%+v: %q, %v", header, content, err)
		}
	}
}

func TestAVersionThatKrewDoesNotTakeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"", "1.2.3", "v1.2", "v01.2.3", "v1.2.3+dirty", "main"} {
		if err := run(t.Context(), []string{"-tag", tag}, io.Discard); err == nil || !strings.Contains(err.Error(), "write v and a semantic version") {
			t.Errorf("%q: %v", tag, err)
		}
	}
}
