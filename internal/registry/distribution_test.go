// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/distribution"
)

// TestFifteenThousandAdmissionsCostEightRequests asks the reference implementation of a registry, which wants a token.
func TestFifteenThousandAdmissionsCostEightRequests(t *testing.T) {
	server := distribution.Start(t)
	amd, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", Created: v1.Time{Time: built}})
	if err != nil {
		t.Fatal(err)
	}
	arm, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: "arm64", Created: v1.Time{Time: built}})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	digest := server.Push(t, "lab/lis:v1", index)
	child, err := amd.Digest()
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := amd.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	site := RegistryConfig{
		Host: server.Host(), Insecure: true, AllowedAddresses: loopback,
		Username: distribution.Username, PasswordFile: writeFile(t, distribution.Password),
	}
	records := newFakeRecords()
	want := posture.ImageFacts{
		Digest: digest, ChildDigest: child.String(), Platform: posture.Platform{OS: "linux", Architecture: "amd64"},
		ConfigDigest: configuration.String(), ConfigCreated: built, ResolvedAt: start,
	}

	before := len(server.Log())
	first := running(t, Config{Registries: []RegistryConfig{site}, Records: records}, nil, fakeClock())
	admit(t, first, server.Host()+"/lab/lis:v1", want)
	made := server.Log()[before:]
	t.Logf("15,000 admissions of a tag: %d requests: %q", len(made), made)
	if len(made) > 8 {
		t.Errorf("%d requests, want at most 8", len(made))
	}

	before = len(server.Log())
	second := running(t, Config{Registries: []RegistryConfig{site}, Records: records}, nil, fakeClock())
	admit(t, second, server.Host()+"/lab/lis@"+digest, want)
	if made := server.Log()[before:]; len(made) != 0 {
		t.Errorf("a replica that has the records made %d requests for a digest, want none: %q", len(made), made)
	}
	third := running(t, Config{Registries: []RegistryConfig{site}, Records: records}, nil, fakeClock())
	admit(t, third, server.Host()+"/lab/lis:v1", want)
	made = server.Log()[before:]
	t.Logf("15,000 admissions of a tag whose digest is recorded: %d requests: %q", len(made), made)
	if len(made) > 3 {
		t.Errorf("%d requests, want ping, token and HEAD", len(made))
	}
}

// admit asks 15,000 times, by Lookup and by Resolve.
func admit(t *testing.T, resolver *Resolver, reference string, want posture.ImageFacts) {
	t.Helper()
	var admissions sync.WaitGroup
	for worker := range 50 {
		admissions.Go(func() {
			query := ask(reference)
			for range 300 {
				facts, known := resolver.Lookup(query)
				if !known || worker%2 == 0 {
					facts = resolver.Resolve(t.Context(), query)
				}
				if diff := cmp.Diff(want, facts); diff != "" {
					t.Errorf("facts (-want +got):\n%s", diff)
					return
				}
			}
		})
	}
	admissions.Wait()
}

// fakeRecords is what the cluster has recorded, at once.
type fakeRecords struct {
	mu       sync.Mutex
	contents map[string]posture.Content
	kept     int
	since    map[string]time.Time
}

func newFakeRecords(contents ...posture.Content) *fakeRecords {
	f := &fakeRecords{contents: map[string]posture.Content{}, since: map[string]time.Time{}}
	for _, content := range contents {
		f.contents[content.Digest] = content
	}
	return f
}

func (f *fakeRecords) Content(digest string) (posture.Content, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, found := f.contents[digest]
	return content, found
}

func (f *fakeRecords) OfConfig(configDigest string) (posture.Content, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, content := range f.contents {
		if content.ConfigDigest == configDigest {
			return content, true
		}
	}
	return posture.Content{}, false
}

func (f *fakeRecords) SameContentSince(repository, layers string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.since[repository+" "+layers]
}

func (f *fakeRecords) Keep(content posture.Content) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.contents[content.Digest] = content
	f.kept++
}
