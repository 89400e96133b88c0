// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"archive/tar"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labguard/labguard/hack/release/oci"
)

var (
	program = oci.Program{Name: "gateway", Title: "lab gateway", Description: "A program", UserID: 4711}
	origin  = oci.Origin{
		Source: "https://example.invalid/lab", Revision: "0123456789abcdef0123456789abcdef01234567", Version: "v1.2.3", License: "Apache-2.0",
		Created: time.Date(2026, 3, 4, 6, 6, 7, 0, time.FixedZone("", 3600)),
	}
	arm64 = v1.Platform{OS: "linux", Architecture: "arm64"}
	// annotations are what everybody should find at image and index, and as labels.
	annotations = map[string]string{
		"org.opencontainers.image.title": "lab gateway", "org.opencontainers.image.description": "A program",
		"org.opencontainers.image.source": "https://example.invalid/lab", "org.opencontainers.image.revision": "0123456789abcdef0123456789abcdef01234567",
		"org.opencontainers.image.version": "v1.2.3", "org.opencontainers.image.created": "2026-03-04T05:06:07Z",
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
)

// must returns a value that there has to be.
func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func image(t *testing.T, platform v1.Platform, content string) v1.Image {
	t.Helper()
	return must(oci.Image(program, origin, platform, []byte(content)))(t)
}

func TestImageRunsTheProgramAsItsUser(t *testing.T) {
	made := image(t, arm64, "some program")
	config := must(made.ConfigFile())(t)
	want := v1.Config{Entrypoint: []string{"/gateway"}, User: "4711:4711", WorkingDir: "/", Labels: annotations}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if got := *config.Platform(); !got.Equals(arm64) {
		t.Errorf("the platform is %s", got)
	}
	if !config.Created.Equal(origin.Created) || config.Created.Location() != time.UTC {
		t.Errorf("created %s, want %s in UTC", config.Created, origin.Created)
	}
	manifest := must(made.Manifest())(t)
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.MediaType != types.OCIConfigJSON {
		t.Errorf("media types %s, %s", manifest.MediaType, manifest.Config.MediaType)
	}
	if diff := cmp.Diff(annotations, manifest.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestImageHasTheProgramAndNothingElse(t *testing.T) {
	archive := tar.NewReader(mutate.Extract(image(t, arm64, "some program")))
	header := must(archive.Next())(t)
	content := must(io.ReadAll(archive))(t)
	if header.Name != "gateway" || string(content) != "some program" || header.FileInfo().Mode().Perm() != 0o555 || header.Uid != 0 {
		t.Errorf("got %+v with %q", header, content)
	}
	if !header.ModTime.Equal(origin.Created) {
		t.Errorf("the program is of %s, want %s", header.ModTime, origin.Created)
	}
	if header, err := archive.Next(); err != io.EOF {
		t.Errorf("there is also %+v, %v", header, err)
	}
}

func TestSameValuesGiveTheSameDigestAndOthersAnother(t *testing.T) {
	type input struct {
		program  oci.Program
		origin   oci.Origin
		platform v1.Platform
		content  string
	}
	digest := func(in input) v1.Hash {
		t.Helper()
		made := must(oci.Image(in.program, in.origin, in.platform, []byte(in.content)))(t)
		return must(must(oci.Index(in.program, in.origin, []oci.Built{{Platform: in.platform, Image: made}}))(t).Digest())(t)
	}
	same := input{program: program, origin: origin, platform: arm64, content: "some program"}
	first := digest(same)
	same.origin.Created = same.origin.Created.UTC()
	if again := digest(same); again != first {
		t.Errorf("the same values in another time zone give %s and %s", first, again)
	}
	seen := map[v1.Hash]string{first: "nothing"}
	for what, change := range map[string]func(*input){
		"user":     func(in *input) { in.program.UserID++ },
		"revision": func(in *input) { in.origin.Revision = strings.Repeat("f", 40) },
		"time":     func(in *input) { in.origin.Created = in.origin.Created.Add(time.Second) },
		"platform": func(in *input) { in.platform.Architecture = "amd64" },
		"content":  func(in *input) { in.content = "another program" },
	} {
		other := same
		change(&other)
		changed := digest(other)
		if before, double := seen[changed]; double {
			t.Errorf("the digest is the same after changing %s as after %s", what, before)
		}
		seen[changed] = what
	}
}

func TestIndexHasEachPlatform(t *testing.T) {
	amd64 := v1.Platform{OS: "linux", Architecture: "amd64"}
	images := []oci.Built{{Platform: amd64, Image: image(t, amd64, "for amd64")}, {Platform: arm64, Image: image(t, arm64, "for arm64")}}
	index := must(oci.Index(program, origin, images))(t)
	manifest := must(index.IndexManifest())(t)
	if manifest.MediaType != types.OCIImageIndex {
		t.Errorf("media type %s", manifest.MediaType)
	}
	if diff := cmp.Diff(annotations, manifest.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if len(manifest.Manifests) != len(images) {
		t.Fatalf("%d images, want %d", len(manifest.Manifests), len(images))
	}
	for i, one := range images {
		if got := manifest.Manifests[i]; !got.Platform.Equals(one.Platform) || got.Digest != must(one.Image.Digest())(t) {
			t.Errorf("image %d is %+v, want %s", i, got, one.Platform)
		}
	}
}

func TestReferrerPointsAtTheImage(t *testing.T) {
	about := image(t, arm64, "some program")
	made := must(oci.Referrer(about, oci.Artifact{Type: "application/spdx+json", Title: "gateway.json", Content: []byte("{}\n"), Created: origin.Created}))(t)
	var manifest v1.Manifest
	if err := json.Unmarshal(must(made.RawManifest())(t), &manifest); err != nil {
		t.Fatal(err)
	}
	subject := manifest.Subject
	if subject == nil || subject.Digest != must(about.Digest())(t) || subject.MediaType != types.OCIManifestSchema1 || subject.Size != must(about.Size())(t) {
		t.Errorf("the subject is %+v", subject)
	}
	if manifest.ArtifactType != "application/spdx+json" || manifest.Config.MediaType != "application/vnd.oci.empty.v1+json" {
		t.Errorf("the types are %q and %q", manifest.ArtifactType, manifest.Config.MediaType)
	}
	// The digest of {} that the specification gives.
	if want := "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"; manifest.Config.Digest.String() != want {
		t.Errorf("the empty configuration is %s, want %s", manifest.Config.Digest, want)
	}
	layers := must(made.Layers())(t)
	if len(layers) != 1 || manifest.Layers[0].Annotations["org.opencontainers.image.title"] != "gateway.json" {
		t.Fatalf("blobs are %+v", manifest.Layers)
	}
	content := must(io.ReadAll(must(layers[0].Compressed())(t)))(t)
	if string(content) != "{}\n" {
		t.Errorf("the artifact is %q", content)
	}
	if _, err := made.LayerByDigest(must(v1.NewHash("sha256:" + strings.Repeat("0", 64)))(t)); err == nil {
		t.Error("the artifact has a blob that it does not have")
	}
}
