// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// budget is what one request may wait, much less than a fetch may take.
	budget = 500 * time.Millisecond
	// unknowns is how many unknown images are asked for.
	unknowns = 50
)

// TestABadRegistryCostsTheBudgetOnce asks for images of registries in every bad state, one after the other and all at once.
func TestABadRegistryCostsTheBudgetOnce(t *testing.T) {
	tests := map[string]struct {
		intercept func(http.ResponseWriter, *http.Request) bool
		dead      bool
		// longest is how long all the unknown images may take together.
		longest time.Duration
	}{
		"dead":   {dead: true, longest: budget},
		"502":    {intercept: answers(http.StatusBadGateway, nil, ""), longest: budget},
		"silent": {intercept: func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, longest: 2 * budget},
	}
	for name, test := range tests {
		for _, parallel := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, parallel %t", name, parallel), func(t *testing.T) {
				server := newFakeRegistry(t)
				digest := digestOf([]byte("known"))
				records := newFakeRecords(posture.Content{Digest: digest, ConfigCreated: built})
				server.intercept = test.intercept
				if test.dead {
					server.Close()
				}
				resolver := running(t, Config{Registries: []RegistryConfig{server.site()}, Records: records}, nil, fakeClock())
				known := ask(server.host() + "/lis@" + digest)
				if facts := resolver.Resolve(t.Context(), known); facts.Digest != digest || server.count("") != 0 {
					t.Errorf("a known digest: %+v after %d requests", facts, server.count(""))
				}
				if took := resolveAll(t, resolver, server.host(), parallel); took > test.longest {
					t.Errorf("%d unknown images took %s, want at most %s", unknowns, took, test.longest)
				}
				requests := server.count("")
				if facts := resolver.Resolve(t.Context(), known); facts.Digest != digest {
					t.Errorf("a known digest afterwards: %+v", facts)
				}
				if requests > defaultWorkersPerHost {
					t.Errorf("%d requests to a registry that does not answer, want at most one for each fetch at once", requests)
				}
			})
		}
	}
}

// resolveAll asks for images that nobody knows, each with a budget of its own, and says how long that took.
func resolveAll(t *testing.T, resolver *Resolver, host string, parallel bool) time.Duration {
	t.Helper()
	started := time.Now()
	var asking sync.WaitGroup
	for i := range unknowns {
		one := func() {
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			if facts := resolver.Resolve(ctx, ask(fmt.Sprintf("%s/lis:v%d", host, i))); facts.Unknown == "" {
				t.Errorf("%+v", facts)
			}
		}
		if parallel {
			asking.Go(one)
			continue
		}
		one()
	}
	asking.Wait()
	return time.Since(started)
}

func TestARegistryThatIsOnlySlowIsWaitedFor(t *testing.T) {
	server := newFakeRegistry(t)
	digest := server.image("lis", "v1", configAt(built))
	server.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Context().Done():
		}
		return false
	}
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if facts := resolver.Resolve(ctx, ask(server.host()+"/lis:v1")); facts.Digest != digest {
		t.Errorf("%+v", facts)
	}
}

func TestASlowRegistryIsWaitedForAgainOnceItHasAnswered(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	first, second := server.image("lis", "v1", configAt(built)), server.image("lis", "v2", configAt(built.Add(time.Hour)))
	gate := make(chan struct{})
	server.intercept = func(http.ResponseWriter, *http.Request) bool { <-gate; return false }
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	arrived := make(chan string, 10)
	resolver.Notify(func(reference string) { arrived <- reference })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	resolver.Resolve(ctx, ask(server.host()+"/lis:v1"))
	// Both return at once: else the test would hang, as nobody opens the gate.
	for _, tag := range []string{"v1", "v2"} {
		if facts := resolver.Resolve(t.Context(), ask(server.host()+"/lis:"+tag)); facts.Unknown != v1alpha1.ReasonNotResolved || facts.Detail != detailSlow {
			t.Errorf("%s while the registry is slow: %+v", tag, facts)
		}
	}
	close(gate)
	for range 2 {
		<-arrived // the fetches went on
	}
	for tag, digest := range map[string]string{"v1": first, "v2": second} {
		if facts, known := resolver.Lookup(ask(server.host() + "/lis:" + tag)); !known || facts.Digest != digest {
			t.Errorf("%s: known %t, %+v", tag, known, facts)
		}
	}
	third := server.image("lis", "v3", configAt(built))
	if facts := resolve(t, resolver, ask(server.host()+"/lis:v3")); facts.Digest != third {
		t.Errorf("after the registry has answered: %+v", facts)
	}
}

func TestASlowRegistryIsWaitedForAgainAfterAWhile(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	gate := make(chan struct{})
	server.intercept = func(http.ResponseWriter, *http.Request) bool { <-gate; return false }
	defer close(gate)
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, passive)
	wait := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return resolver.Resolve(ctx, ask(server.host()+"/lis:v1")).Detail
	}
	got := []string{wait(), wait()}
	passive.Step(defaultNegativeTTL)
	got = append(got, wait(), wait())
	for i, want := range []string{detailPending, detailSlow, detailPending, detailSlow} {
		if got[i] != want {
			t.Errorf("wait %d: %q, want %q", i, got[i], want)
		}
	}
}

func TestWhoGoesAwayEarlyHasLearnedNothing(t *testing.T) {
	server := newFakeRegistry(t)
	gate := make(chan struct{})
	server.intercept = func(http.ResponseWriter, *http.Request) bool { <-gate; return false }
	defer close(gate)
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}}, nil, fakeClock())
	query := ask(server.host() + "/lis:v1")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancelLate()
	for _, ctx := range []context.Context{ended, late} {
		resolver.Resolve(ctx, query)
	}
	if _, isSlow := resolver.slowness(resolver.find(query).pending); isSlow {
		t.Error("the registry is called slow by those who did not wait for it")
	}
}

func TestASilentRegistryMakesNoOtherWait(t *testing.T) {
	silent, healthy := newFakeRegistry(t), newFakeRegistry(t)
	silent.intercept = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	digest := healthy.image("lis", "v1", configAt(built))
	resolver := running(t, Config{Registries: []RegistryConfig{silent.site(), healthy.site()}, MaxPending: 20}, nil, fakeClock())
	for i := range 100 { // more than there is room for
		resolver.Lookup(ask(fmt.Sprintf("%s/lis:v%d", silent.host(), i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), defaultTimeout/2)
	defer cancel()
	if facts := resolver.Resolve(ctx, ask(healthy.host()+"/lis:v1")); facts.Digest != digest {
		t.Errorf("%+v", facts)
	}
	if got := silent.count(""); got > defaultWorkersPerHost {
		t.Errorf("%d fetches at once from one registry, want at most %d", got, defaultWorkersPerHost)
	}
}

func TestLanesTakeTurnsWithinTheirLimits(t *testing.T) {
	q := newQueue(Config{WorkersPerHost: 2, Workers: 3, MaxPending: 10})
	for i := range 6 {
		if added := q.add(&flight{host: "a", key: lookupKey{reference: fmt.Sprint(i)}}); added != (i < 5) {
			t.Errorf("fetch %d of one host: added %t, want at most half of the queue", i, added)
		}
	}
	q.add(&flight{host: "b"})
	var started []*flight
	for f := q.next(); f != nil; f = q.next() {
		started = append(started, f)
	}
	var order string
	for _, f := range started {
		order += f.host
	}
	if order != "aba" {
		t.Errorf("started %s, want the lanes in turns, three in all and two of one host", order)
	}
	for len(started) > 0 {
		q.done(started[0])
		started = started[1:]
		for f := q.next(); f != nil; f = q.next() {
			started = append(started, f)
		}
	}
	if len(q.lanes) != 0 || q.pending != 0 || q.running != 0 || len(q.ready) != 0 {
		t.Errorf("left over: %+v", q)
	}
}

func TestRequestsToOneHostArePaced(t *testing.T) {
	server := newFakeRegistry(t)
	config := Config{Registries: []RegistryConfig{server.site()}, RequestsPerSecond: 1, RequestBurst: 2, Timeout: 200 * time.Millisecond}
	server.image("lis", "v1", configAt(built))
	resolver := running(t, config, nil, fakeClock())
	facts := resolve(t, resolver, ask(server.host()+"/lis:v1"))
	if facts.Unknown != v1alpha1.ReasonNotResolved || server.count("") != 2 {
		t.Errorf("%+v after %d requests, want NotResolved after 2: there is no room for a third before the deadline", facts, server.count(""))
	}
	other := newLimits(config.withDefaults())
	for _, host := range []string{"a", "a", "b", "b"} {
		if err := other.wait(t.Context(), host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestLifetimesAreSpread(t *testing.T) {
	server, passive := newFakeRegistry(t), fakeClock()
	server.image("lis", "v1", configAt(built))
	config := Config{Registries: []RegistryConfig{server.site()}, Random: func() float64 { return 0.5 }}
	resolver := running(t, config, nil, passive)
	for reference, want := range map[string]time.Duration{"/lis:v1": 66 * time.Second, "/lis:absent": 33 * time.Second} {
		resolve(t, resolver, ask(server.host()+reference))
		if got := resolver.NextLook(ask(server.host() + reference)); !got.Equal(start.Add(want)) {
			t.Errorf("%s: next look after %s, want %s", reference, got.Sub(start), want)
		}
	}
	throttled := failure{after: 24 * time.Hour}
	if got := resolver.fetcher.lifetime(throttled); got != 11*time.Minute {
		t.Errorf("a day of Retry-After becomes %s, want the cap and its spread", got)
	}
}

// TestAListenerThatNeverAnswersCostsTheBudgetOnce is the silent registry again, below HTTP: it accepts and says nothing.
func TestAListenerThatNeverAnswersCostsTheBudgetOnce(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	host := listener.Addr().String()
	resolver := running(t, Config{Registries: []RegistryConfig{{Host: host, Insecure: true, AllowedAddresses: loopback}}}, nil, fakeClock())
	if took := resolveAll(t, resolver, host, false); took > 2*budget {
		t.Errorf("%d unknown images took %s", unknowns, took)
	}
}

func TestAFetchThatFoundItsRegistrySilentSparesOthersTheWait(t *testing.T) {
	server := newFakeRegistry(t)
	server.intercept = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v2/" {
			return false
		}
		<-r.Context().Done()
		return true
	}
	resolver := running(t, Config{Registries: []RegistryConfig{server.site()}, Timeout: 200 * time.Millisecond}, nil, fakeClock())
	if facts := resolve(t, resolver, ask(server.host()+"/lis:v1")); facts.Unknown != v1alpha1.ReasonRegistryUnreachable {
		t.Errorf("the first: %+v", facts)
	}
	if facts := resolve(t, resolver, ask(server.host()+"/lis:v2")); facts.Detail != detailSlow {
		t.Errorf("the next: %+v, want an answer at once", facts)
	}
}
