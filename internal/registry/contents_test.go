// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

var (
	linuxAMD = posture.Platform{OS: "linux", Architecture: "amd64"}
	linuxARM = posture.Platform{OS: "linux", Architecture: "arm64"}
)

func TestWhatIsReadIsRecorded(t *testing.T) {
	server, records := newFakeRegistry(t), newFakeRecords()
	diffIDs := []string{digestOf([]byte("a")), digestOf([]byte("b"))}
	config := object{
		"created": "2026-01-10T08:00:00.999+00:00", "os": "linux", "architecture": "amd64", "rootfs": object{"type": "layers", "diff_ids": diffIDs},
		"history": []object{{"created": "2026-01-10T09:00:00.1Z"}},
	}
	amd := server.image("lis", "", config)
	attestation := indexEntry(server.image("lis", "", object{}), "unknown", "unknown")
	index := server.index("v1", dockerList, object{annotationCreated: "0000-01-01T00:00:00Z"},
		attestation, indexEntry(amd, "linux", "amd64"), indexEntry(digestOf(nil), "linux", "arm64"))
	reference := server.host() + "/lis:v1"
	resolve(t, running(t, Config{Registries: []RegistryConfig{server.site()}, Records: records}, nil, fakeClock()), ask(reference))
	want := map[string]posture.Content{
		index: {Digest: index, Reference: reference, FirstSeen: start, IsIndex: true, Images: []posture.IndexedImage{
			{Digest: amd, Platform: linuxAMD}, {Digest: digestOf(nil), Platform: linuxARM},
		}},
		amd: {
			Digest: amd, Reference: reference, FirstSeen: start, Platform: linuxAMD, ConfigDigest: digestOf(encode(config)),
			Layers: digestOf([]byte(diffIDs[0] + "\n" + diffIDs[1] + "\n")), ConfigCreated: built, HistoryCreated: built.Add(time.Hour),
		},
	}
	if diff := cmp.Diff(want, records.contents); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestARecordedDigestIsKnownWithoutARequest(t *testing.T) {
	digest, child := digestOf([]byte("index")), digestOf([]byte("child"))
	records := newFakeRecords(
		posture.Content{Digest: digest, FirstSeen: built, IsIndex: true, Images: []posture.IndexedImage{{Digest: child, Platform: linuxARM}}},
		posture.Content{Digest: child, FirstSeen: start, Platform: linuxARM, ConfigDigest: "config", Layers: "layers", ConfigCreated: built, Reference: "lab.example/lis:v1"},
	)
	since := built.Add(-time.Hour)
	records.since["lab.example/lis layers"] = since
	resolver := running(t, Config{Records: records}, nil, fakeClock())
	recorded, known := metrics.RegistryLookups.WithLabelValues("recorded"), metrics.RegistryLookups.WithLabelValues("known")
	recordedBefore, knownBefore := testutil.ToFloat64(recorded), testutil.ToFloat64(known)
	want := posture.ImageFacts{
		Digest: digest, ChildDigest: child, Platform: linuxARM, ConfigDigest: "config", ConfigCreated: built, SameContentSince: since, ResolvedAt: built,
	}
	for range 3 {
		facts, known := resolver.Lookup(ask("lab.example/lis@" + digest))
		if diff := cmp.Diff(want, facts); diff != "" || !known {
			t.Errorf("known %t, facts (-want +got):\n%s", known, diff)
		}
	}
	if got := []float64{testutil.ToFloat64(recorded) - recordedBefore, testutil.ToFloat64(known) - knownBefore}; got[0] != 1 || got[1] != 2 {
		t.Errorf("lookups by recorded and known: %v, want 1 and 2: a record is in memory from then on", got)
	}
	if facts, _ := resolver.Lookup(ask("other.example/lis@" + digest)); !facts.SameContentSince.IsZero() {
		t.Errorf("the same content in another repository is told: %s", facts.SameContentSince)
	}
	of, found := resolver.OfConfig("config")
	want.Digest, want.ChildDigest, want.ResolvedAt = child, "", start
	if diff := cmp.Diff(want, of); diff != "" || !found {
		t.Errorf("by its configuration: found %t, facts (-want +got):\n%s", found, diff)
	}
	for _, unknown := range []string{"", "another"} {
		if _, found := resolver.OfConfig(unknown); found {
			t.Errorf("an image with configuration %q", unknown)
		}
	}
}

func TestAnImageInMemoryIsFoundByItsConfiguration(t *testing.T) {
	server := newFakeRegistry(t)
	digest := server.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
	resolve(t, resolver, ask(server.host()+"/lis:v1"))
	facts, found := resolver.OfConfig(digestOf(encode(configAt(built))))
	if !found || facts.Digest != digest || !facts.ConfigCreated.Equal(built) {
		t.Errorf("found %t, %+v", found, facts)
	}
	if _, found := resolver.OfConfig(digest); found {
		t.Error("the digest of the manifest is taken for that of a configuration")
	}
}

func TestATagWhoseDigestIsRecordedCostsOneHead(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	digest := server.image("lis", "v1", configAt(built))
	records := newFakeRecords(posture.Content{Digest: digest, Platform: linuxAMD, ConfigCreated: built})
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}, Records: records}, nil, passive)
	for range 3 {
		if facts := resolve(t, resolver, ask(server.host()+"/lis:v1")); facts.Digest != digest || !facts.ResolvedAt.Equal(passive.Now()) {
			t.Errorf("%+v", facts)
		}
		passive.Step(61 * time.Second)
	}
	if diff := cmp.Diff([]string{"GET /v2/", "HEAD /v2/lis/manifests/v1", "HEAD /v2/lis/manifests/v1", "HEAD /v2/lis/manifests/v1"}, server.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestAContentInUseIsGivenToTheRecordsAgain(t *testing.T) {
	digest, passive := digestOf(nil), fakeClock()
	records := newFakeRecords(posture.Content{Digest: digest, ConfigCreated: built})
	resolver := running(t, Config{Records: records}, nil, passive)
	look := func() int {
		resolver.Lookup(ask("lab.example/lis@" + digest))
		resolver.Lookup(ask("lab.example/lis@" + digest))
		records.mu.Lock()
		defer records.mu.Unlock()
		return records.kept
	}
	got := []int{look()}
	delete(records.contents, digest)
	passive.Step(9 * time.Minute)
	got = append(got, look())
	passive.Step(time.Minute)
	got = append(got, look())
	if diff := cmp.Diff([]int{0, 0, 1}, got); diff != "" || records.contents[digest].Digest != digest {
		t.Errorf("how often it was given to the records (-want +got):\n%s", diff)
	}
}

func TestADigestIsReadOnceWhateverMeansIt(t *testing.T) {
	server := newFakeRegistry(t)
	const references = 10
	for i := range references {
		server.image(fmt.Sprint("lis", i), "v1", configAt(built))
	}
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}, WorkersPerHost: references}, nil, fakeClock())
	var heads sync.WaitGroup
	heads.Add(references)
	server.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead { // nobody goes on before all have asked what their tag means
			heads.Done()
			heads.Wait()
		}
		return false
	}
	var waiting sync.WaitGroup
	for i := range references {
		waiting.Go(func() { resolve(t, resolver, ask(fmt.Sprintf("%s/lis%d:v1", server.host(), i))) })
	}
	waiting.Wait()
	manifests, blobs := 0, 0
	for _, request := range server.requests {
		switch {
		case strings.HasPrefix(request, "GET ") && strings.Contains(request, "/manifests/"):
			manifests++
		case strings.Contains(request, "/blobs/"):
			blobs++
		}
	}
	if manifests != 1 || blobs != 1 {
		t.Errorf("%d manifests and %d configurations read, want one each", manifests, blobs)
	}
}

func TestAReadThatFailsIsTriedByEachForItself(t *testing.T) {
	var r reads
	key := readKey{host: "lab.example", digest: "d"}
	one, first := r.join(key)
	again, second := r.join(key)
	if !first || second || one != again {
		t.Fatal("two reads of one content")
	}
	if _, first := r.join(readKey{host: "other.example", digest: "d"}); !first {
		t.Error("another host waits for this one")
	}
	r.finish(one, posture.Content{}, false)
	<-again.done
	if _, first := r.join(key); !first || again.found {
		t.Error("a read that failed is still under way")
	}
}

func TestAnIndexThatNoRecordTakesIsNoImage(t *testing.T) {
	server := newFakeRegistry(t)
	server.put("lis", "many", ociIndex, indexOf(maxIndexedImages+1))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
	if facts := resolve(t, resolver, ask(server.host()+"/lis:many")); !strings.Contains(facts.Detail, "more than 256 images") {
		t.Errorf("%+v", facts)
	}
}

func BenchmarkLookupOfAKnownDigest(b *testing.B) {
	digest, child := digestOf([]byte("index")), digestOf([]byte("child"))
	records := newFakeRecords(
		posture.Content{Digest: digest, IsIndex: true, Images: []posture.IndexedImage{{Digest: child, Platform: linuxAMD}}},
		posture.Content{Digest: child, Platform: linuxAMD, ConfigCreated: built, Layers: "layers"},
	)
	resolver, err := New(Config{Records: records}, nil, fakeClock())
	if err != nil {
		b.Fatal(err)
	}
	query := ask("registry.lab.example/pathology/lis@" + digest)
	b.ReportAllocs()
	for b.Loop() {
		if _, known := resolver.Lookup(query); !known {
			b.Fatal("not known")
		}
	}
}
