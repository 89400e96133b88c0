// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	inprocess "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/labguard/labguard/internal/posture"
)

// TestARegistryThatOthersWrote pushes with go-containerregistry to its in-process registry, so that not only this package's own idea of
// the protocol is tested.
func TestARegistryThatOthersWrote(t *testing.T) {
	server := httptest.NewServer(inprocess.New(inprocess.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64", Created: v1.Time{Time: built}})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}},
	})
	tag, err := name.NewTag(host + "/lab/lis:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	child, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	site := RegistryConfig{Host: host, Insecure: true, AllowedAddresses: loopback}
	resolver := running(t, Config{Registries: []RegistryConfig{site}}, nil, fakeClock())
	facts := resolve(t, resolver, posture.ImageQuery{Reference: host + "/lab/lis:v1", Platform: posture.Platform{OS: "linux", Architecture: "arm64"}})
	expected := posture.ImageFacts{
		Digest: want.String(), ChildDigest: child.String(), Platform: posture.Platform{OS: "linux", Architecture: "arm64"},
		ConfigDigest: config.String(), ConfigCreated: built, ResolvedAt: start,
	}
	if diff := cmp.Diff(expected, facts); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}
