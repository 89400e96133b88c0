// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

func TestAnImageIsDescribedByItsDates(t *testing.T) {
	later := built.Add(48 * time.Hour)
	annotated := object{annotationCreated: later.Format(time.RFC3339)}
	tests := map[string]struct {
		config, annotations      object
		manifestType, configType string
		want                     posture.ImageFacts
	}{
		"config date": {
			config: configAt(built), want: posture.ImageFacts{ConfigCreated: built},
		},
		"docker media types": {
			config: configAt(built), manifestType: dockerImage, configType: dockerConfig, want: posture.ImageFacts{ConfigCreated: built},
		},
		"the newest history entry": {
			config: object{"os": "linux", "architecture": "amd64", "created": "1970-01-01T00:00:00Z", "history": []object{
				{"created": built.Format(time.RFC3339)}, {"created": later.Format(time.RFC3339)}, {"created_by": "no date"},
			}},
			want: posture.ImageFacts{ConfigCreated: time.Unix(0, 0).UTC(), HistoryCreated: later},
		},
		"no date at all": {
			config: object{"os": "linux", "architecture": "amd64"},
		},
		"a date that is none counts as absent": {
			config: object{"os": "linux", "architecture": "amd64", "created": "yesterday", "history": []object{{"created": 7}}},
		},
		"the annotation of the manifest": {
			config: configAt(built), annotations: annotated,
			want: posture.ImageFacts{ConfigCreated: built, AnnotationCreated: later},
		},
		"the label of the configuration": {
			config: object{"os": "linux", "architecture": "amd64", "config": object{"Labels": annotated}},
			want:   posture.ImageFacts{AnnotationCreated: later},
		},
		"an artifact without image configuration is dated by its annotation": {
			config: object{}, annotations: annotated, configType: "application/vnd.oci.empty.v1+json",
			want: posture.ImageFacts{AnnotationCreated: later},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := newFakeRegistry(t)
			manifestType, configType := ociManifest, ociConfig
			if test.manifestType != "" {
				manifestType = test.manifestType
			}
			if test.configType != "" {
				configType = test.configType
			}
			want := test.want
			want.Digest = server.typedImage("lis", "v1", manifestType, configType, test.config, test.annotations)
			want.ResolvedAt = start
			if len(test.config) > 0 {
				want.ConfigDigest = digestOf(encode(test.config))
				want.Platform = posture.Platform{OS: "linux", Architecture: "amd64"}
			}
			resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
			for _, reference := range []string{server.host() + "/lis:v1", server.host() + "/lis@" + want.Digest} {
				if diff := cmp.Diff(want, resolve(t, resolver, ask(reference))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", reference, diff)
				}
			}
		})
	}
}

func TestAnIndexIsAnsweredForThePlatform(t *testing.T) {
	amd, arm, windows := built, built.Add(time.Hour), built.Add(2*time.Hour)
	indexDate, entryDate := built.Add(3*time.Hour), built.Add(4*time.Hour)
	server := newFakeRegistry(t)
	amdDigest := server.image("lis", "", configAt(amd))
	armDigest := server.image("lis", "", object{"created": arm.Format(time.RFC3339), "os": "linux", "architecture": "arm64"})
	winDigest := server.image("lis", "", object{"created": windows.Format(time.RFC3339), "os": "windows", "architecture": "amd64"})
	attestation := indexEntry(server.image("lis", "", object{}), "unknown", "unknown")
	marked := indexEntry(server.image("lis", "", configAt(built)), "linux", "amd64")
	marked["annotations"] = object{annotationReference: "attestation-manifest"}
	dated := indexEntry(armDigest, "linux", "arm64")
	dated["annotations"] = object{annotationCreated: entryDate.Format(time.RFC3339)}

	server.index("all", ociIndex, object{annotationCreated: indexDate.Format(time.RFC3339)},
		attestation, marked, indexEntry(winDigest, "windows", "amd64"), indexEntry(amdDigest, "linux", "amd64"), dated)
	server.index("arm-only", dockerList, nil, attestation, indexEntry(armDigest, "linux", "arm64"))
	server.index("windows-only", dockerList, nil, indexEntry(winDigest, "windows", "amd64"))
	server.index("attestations-only", ociIndex, nil, attestation, marked)
	nested := server.index("", ociIndex, nil, indexEntry(amdDigest, "linux", "amd64"))
	server.index("nested", ociIndex, nil, indexEntry(nested, "linux", "amd64"))

	arm64 := posture.Platform{OS: "linux", Architecture: "arm64"}
	tests := map[string]struct {
		tag         string
		platform    posture.Platform
		wantChild   string
		wantCreated time.Time
		wantNote    time.Time
		wantReason  string
	}{
		"linux/amd64 if nothing is asked for":       {tag: "all", wantChild: amdDigest, wantCreated: amd, wantNote: indexDate},
		"the platform that is asked for":            {tag: "all", platform: arm64, wantChild: armDigest, wantCreated: arm, wantNote: entryDate},
		"windows":                                   {tag: "all", platform: posture.Platform{OS: "windows", Architecture: "amd64"}, wantChild: winDigest, wantCreated: windows, wantNote: indexDate},
		"the first image if there is no amd64":      {tag: "arm-only", wantChild: armDigest, wantCreated: arm},
		"a windows-only index":                      {tag: "windows-only", wantChild: winDigest, wantCreated: windows},
		"an index in an index":                      {tag: "nested", wantChild: amdDigest, wantCreated: amd},
		"no image for the platform":                 {tag: "windows-only", platform: arm64, wantReason: v1alpha1.ReasonNoMatchingPlatform},
		"nothing but attestations":                  {tag: "attestations-only", wantReason: v1alpha1.ReasonNoMatchingPlatform},
		"a variant that the index does not tell":    {tag: "all", platform: posture.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, wantChild: armDigest, wantCreated: arm, wantNote: entryDate},
		"a platform that only an attestation names": {tag: "all", platform: posture.Platform{OS: "unknown", Architecture: "unknown"}, wantReason: v1alpha1.ReasonNoMatchingPlatform},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
			facts := resolve(t, resolver, posture.ImageQuery{Reference: server.host() + "/lis:" + test.tag, Platform: test.platform})
			got := []any{facts.Unknown, facts.ChildDigest, facts.ConfigCreated, facts.AnnotationCreated}
			if diff := cmp.Diff([]any{test.wantReason, test.wantChild, test.wantCreated, test.wantNote}, got); diff != "" {
				t.Errorf("facts (-want +got), detail %q:\n%s", facts.Detail, diff)
			}
		})
	}
}

func TestTheChildOfAKnownIndexIsKnown(t *testing.T) {
	server := newFakeRegistry(t)
	child := server.image("lis", "", configAt(built))
	server.index("v1", ociIndex, object{annotationCreated: start.Format(time.RFC3339)}, indexEntry(child, "linux", "amd64"))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
	resolve(t, resolver, ask(server.host()+"/lis:v1"))
	facts, known := resolver.Lookup(ask(server.host() + "/lis@" + child))
	if !known || facts.Digest != child || facts.ChildDigest != "" || !facts.AnnotationCreated.IsZero() {
		t.Errorf("the child's own facts: known %t, %+v", known, facts)
	}
}

func TestATagIsAskedByHeadAndAgainAfterItsTime(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	first := server.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	var told []string
	var mu sync.Mutex
	resolver.Notify(func(reference string) { mu.Lock(); defer mu.Unlock(); told = append(told, reference) })
	query := ask(server.host() + "/lis:v1")
	if got := resolve(t, resolver, query); got.Digest != first {
		t.Fatalf("digest %s, want %s", got.Digest, first)
	}
	if got := server.count("GET /v2/lis/manifests/v1"); got != 0 {
		t.Errorf("%d GETs of the tag, want HEAD only", got)
	}
	passive.Step(59 * time.Second)
	before := server.count("")
	if _, known := resolver.Lookup(query); !known || server.count("") != before {
		t.Error("the tag is asked for again before its time")
	}
	second := server.image("lis", "v1", configAt(built.Add(time.Hour)))
	passive.Step(2 * time.Second)
	if got := resolve(t, resolver, query); got.Digest != second || !got.ResolvedAt.Equal(passive.Now()) {
		t.Errorf("after the tag moved: %+v, want digest %s", got, second)
	}
	passive.Step(61 * time.Second)
	before = server.count("")
	resolve(t, resolver, query)
	if got := server.count("") - before; got != 1 {
		t.Errorf("%d requests for a tag that did not move, want one HEAD", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{query.Reference, query.Reference}, told); diff != "" {
		t.Errorf("notifications: one for each change (-want +got):\n%s", diff)
	}
}

func TestATagIsAskedByGetWhereHeadGivesNoDigest(t *testing.T) {
	for name, status := range map[string]int{"no header": http.StatusOK, "HEAD is not allowed": http.StatusMethodNotAllowed} {
		t.Run(name, func(t *testing.T) {
			server := newFakeRegistry(t)
			digest := server.image("lis", "v1", configAt(built))
			server.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodHead {
					w.WriteHeader(status)
				}
				return r.Method == http.MethodHead
			}
			resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
			if facts := resolve(t, resolver, ask(server.host()+"/lis:v1")); facts.Digest != digest || !facts.ConfigCreated.Equal(built) {
				t.Errorf("facts %+v, want digest %s", facts, digest)
			}
			if got := server.count("GET /v2/lis/manifests/"); got != 1 {
				t.Errorf("%d GETs of manifests, want 1", got)
			}
		})
	}
}

func TestAHundredAskersCostOneFetch(t *testing.T) {
	requests := func(askers int) int {
		server := newFakeRegistry(t)
		server.image("lis", "v1", configAt(built))
		gate := make(chan struct{})
		server.intercept = func(http.ResponseWriter, *http.Request) bool { <-gate; return false }
		resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
		var waiting sync.WaitGroup
		for i := range askers {
			query := posture.ImageQuery{Reference: server.host() + "/lis:v1", Namespace: fmt.Sprint("team-", i%7)}
			resolver.Lookup(query)
			waiting.Go(func() {
				if facts := resolve(t, resolver, query); facts.Unknown != "" {
					t.Errorf("unknown: %s", facts.Detail)
				}
			})
		}
		close(gate)
		waiting.Wait()
		return server.count("")
	}
	one, hundred := requests(1), requests(100)
	if hundred != one || one > 4 {
		t.Errorf("%d requests for a hundred askers and %d for one; want the same, at most ping, HEAD, manifest and config", hundred, one)
	}
}

func TestAKnownDigestNeedsNoRequest(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	digest := server.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	resolve(t, resolver, ask(server.host()+"/lis:v1"))
	before := server.count("")
	passive.Step(1000 * time.Hour)
	for _, repository := range []string{"lis", "copy"} {
		if facts, known := resolver.Lookup(ask(server.host() + "/" + repository + "@" + digest)); !known || facts.Digest != digest {
			t.Errorf("%s: known %t, %+v", repository, known, facts)
		}
	}
	if server.count("") != before {
		t.Error("a known digest led to a request")
	}
}

func TestWhatWasKnownIsReportedWhileItIsAskedForAnew(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	digest := server.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	known, absent := ask(server.host()+"/lis:v1"), ask(server.host()+"/lis:absent")
	resolve(t, resolver, known)
	resolve(t, resolver, absent)
	hold := make(chan struct{})
	server.intercept = func(http.ResponseWriter, *http.Request) bool { <-hold; return false }
	defer close(hold)
	passive.Step(2 * time.Minute)
	if facts, found := resolver.Lookup(known); !found || facts.Digest != digest || !facts.ResolvedAt.Equal(start) {
		t.Errorf("a tag: %+v, want what was known, as of then", facts)
	}
	if facts, found := resolver.Lookup(absent); !found || facts.Unknown != v1alpha1.ReasonImageNotFound {
		t.Errorf("a failure: %+v, want the last one", facts)
	}
	if next := resolver.NextLook(absent); !next.After(passive.Now()) {
		t.Errorf("while the registry is asked the next look is %s: nobody would look again", next)
	}
}

func TestWhatATagMeantIsExactForItsTimeAndStandsForAnHourWhereNobodyAnswers(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	digest := server.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	query := ask(server.host() + "/lis:v1")
	resolve(t, resolver, query)
	if facts, exact := resolver.Current(query); !exact || facts.Digest != digest {
		t.Errorf("within its time: %+v, exact: %t", facts, exact)
	}
	hold := make(chan struct{})
	server.intercept = func(http.ResponseWriter, *http.Request) bool { <-hold; return false }
	defer close(hold)
	waitInVain := func() posture.ImageFacts {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return resolver.Resolve(ctx, query)
	}
	passive.Step(2 * time.Minute)
	if facts, exact := resolver.Current(query); exact || facts.Digest != digest {
		t.Errorf("after its time: %+v, exact: %t, want what it meant last, and that this is not exact", facts, exact)
	}
	if facts := waitInVain(); facts.Digest != digest {
		t.Errorf("who has waited in vain got %+v, want what the tag meant last", facts)
	}
	passive.Step(time.Hour)
	if facts, exact := resolver.Current(query); exact || facts.Unknown != v1alpha1.ReasonNotResolved {
		t.Errorf("after an hour: %+v, exact: %t, want NotResolved", facts, exact)
	}
	if facts := waitInVain(); facts.Unknown != v1alpha1.ReasonNotResolved {
		t.Errorf("who has waited in vain after an hour got %+v, want NotResolved", facts)
	}
}

func TestATagStandsWhileItsRegistryIsAway(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	digest := server.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	query := ask(server.host() + "/lis:v1")
	resolve(t, resolver, query)
	server.intercept = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	passive.Step(50 * time.Minute)
	if facts := resolve(t, resolver, query); facts.Digest != digest || !facts.ResolvedAt.Equal(start) {
		t.Errorf("within the hour: %+v, want the last digest as of then", facts)
	}
	passive.Step(11 * time.Minute)
	if facts := resolve(t, resolver, query); facts.Unknown != v1alpha1.ReasonRegistryUnreachable {
		t.Errorf("after the hour: %+v, want RegistryUnreachable", facts)
	}
}

func TestTheCachesAreBounded(t *testing.T) {
	server := newFakeRegistry(t)
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}, CacheEntries: 10, RequestBurst: 1000}, nil, fakeClock())
	for i := range 50 {
		server.image("lis", fmt.Sprint("v", i), configAt(built.Add(time.Duration(i)*time.Minute)))
		resolve(t, resolver, ask(fmt.Sprintf("%s/lis:v%d", server.host(), i)))
	}
	if entries, digests := resolver.entries.Len(), resolver.contents.memory.Len(); entries > 10 || digests > 10 {
		t.Errorf("%d references and %d digests remembered, want at most 10 each", entries, digests)
	}
	resolver.mu.Lock() // whoever waits is woken before the fetch is taken out, in one hold of the lock
	defer resolver.mu.Unlock()
	if len(resolver.flights) != 0 {
		t.Errorf("%d fetches left over", len(resolver.flights))
	}
}

func TestAFullQueueAnswersAtOnce(t *testing.T) {
	resolver, err := New(Config{MaxPending: 2}, nil, fakeClock())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		resolver.Lookup(ask(fmt.Sprintf("registry.invalid/lis:v%d", i)))
	}
	facts := resolver.Resolve(t.Context(), ask("registry.invalid/lis:v3"))
	if facts.Unknown != v1alpha1.ReasonNotResolved || !strings.Contains(facts.Detail, "too many") {
		t.Errorf("facts %+v, want NotResolved for a full queue", facts)
	}
}

func TestAnAskerWaitsNoLongerThanItsContextAndTheFetchGoesOn(t *testing.T) {
	server := newFakeRegistry(t)
	digest := server.image("lis", "v1", configAt(built))
	gate := make(chan struct{})
	server.intercept = func(http.ResponseWriter, *http.Request) bool { <-gate; return false }
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
	arrived := make(chan string, 1)
	resolver.Notify(func(reference string) { arrived <- reference })
	query := ask(server.host() + "/lis:v1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if facts := resolver.Resolve(ctx, query); facts.Unknown != v1alpha1.ReasonNotResolved {
		t.Fatalf("facts %+v, want NotResolved", facts)
	}
	close(gate)
	if got := <-arrived; got != query.Reference {
		t.Errorf("told about %s", got)
	}
	if facts, known := resolver.Lookup(query); !known || facts.Digest != digest {
		t.Errorf("after the fetch: known %t, %+v", known, facts)
	}
}

func TestStoppingGivesUpFetchesAndWakesWhoWaits(t *testing.T) {
	server := newFakeRegistry(t)
	asked := make(chan struct{}, 1)
	server.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		asked <- struct{}{}
		<-r.Context().Done()
		return true
	}
	resolver, err := New(Config{Registries: []RegistryConfig{server.site()}, Workers: 1}, nil, fakeClock())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- resolver.Start(ctx) }()
	answers := make(chan posture.ImageFacts, 2)
	for _, tag := range []string{"running", "waiting"} {
		resolver.Lookup(ask(server.host() + "/lis:" + tag))
		go func() { answers <- resolver.Resolve(t.Context(), ask(server.host()+"/lis:"+tag)) }()
	}
	<-asked
	cancel()
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
	for range 2 {
		if facts := <-answers; facts.Unknown != v1alpha1.ReasonNotResolved {
			t.Errorf("facts %+v, want NotResolved", facts)
		}
	}
	if facts := resolver.Resolve(t.Context(), ask(server.host()+"/lis:after")); facts.Unknown != v1alpha1.ReasonNotResolved {
		t.Errorf("after the stop: %+v, want NotResolved at once", facts)
	}
}

func TestNextLookIsWhenAnAnswerMayChange(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	digest := server.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	for reference, want := range map[string]time.Time{
		server.host() + "/lis:v1":        start.Add(time.Minute),
		server.host() + "/lis:absent":    start.Add(30 * time.Second),
		server.host() + "/lis@" + digest: {},
		"not a reference":                {},
	} {
		resolve(t, resolver, ask(reference))
		if got := resolver.NextLook(ask(reference)); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", reference, got, want)
		}
	}
}
