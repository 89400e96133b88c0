// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// tagGrace is how long the last digest of a tag stands while its registry does not answer, so that an outage there is not one here.
	tagGrace = time.Hour
	// deniedTTL is how long it is remembered that an image needs credentials, so that its private registry is not asked anonymously
	// each time. It delays nobody: what a namespace's own credentials gave has its own, shorter memory.
	deniedTTL = 10 * time.Minute
)

// Resolver answers questions about images from memory and fetches what it does not know in the background.
type Resolver struct {
	config  Config
	fetcher *fetcher
	clock   clock.PassiveClock
	digests digestCache
	queue   chan *flight

	mu        sync.Mutex
	entries   *lru.Cache // lookupKey -> entry
	flights   map[lookupKey]*flight
	listeners []func(reference string)
	stopped   bool
}

// flight is one fetch that any number of askers wait for.
type flight struct {
	key    lookupKey
	query  posture.ImageQuery
	denied failure
	// done is closed once facts are set.
	done  chan struct{}
	facts posture.ImageFacts
}

// New checks the configuration and reads its files once. secrets may be nil: then no pull secret is ever read.
func New(config Config, secrets SecretReader, passive clock.PassiveClock) (*Resolver, error) {
	config = config.withDefaults()
	all, err := newSites(config.Registries)
	if err != nil {
		return nil, fmt.Errorf("read registry configuration: %w", err)
	}
	digests := digestCache{entries: lru.New(config.CacheEntries)}
	return &Resolver{
		config: config, clock: passive, digests: digests,
		fetcher: &fetcher{
			config: config, sites: all, secrets: secrets, clock: passive,
			blocks: blocks{entries: lru.New(config.CacheEntries)},
			client: &registryClient{
				config: config, base: newRoundTripper(config, all, passive), clock: passive,
				digests: digests, sessions: lru.New(sessionEntries),
			},
		},
		queue:   make(chan *flight, config.MaxPending),
		entries: lru.New(config.CacheEntries),
		flights: map[lookupKey]*flight{},
	}, nil
}

// Notify has a function called with the reference, as it was asked for, whenever the facts about it have arrived or changed. It is called
// from the goroutines that fetch and must not block. Call Notify before Start.
func (r *Resolver) Notify(listener func(reference string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, listener)
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica answers admission, so every replica fetches.
func (r *Resolver) NeedLeaderElection() bool { return false }

// Start fetches until the context ends; it returns when the last fetch has been given up. A Resolver is started once.
func (r *Resolver) Start(ctx context.Context) error {
	var workers sync.WaitGroup
	for range r.config.Workers {
		workers.Go(func() { r.work(ctx) })
	}
	workers.Wait()
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	for {
		select {
		case f := <-r.queue:
			r.finish(f, notResolved("labguard is stopping"), failure{aborted: true})
		default:
			return nil
		}
	}
}

// Lookup answers from memory: it never blocks and never does I/O. What was known stands while it is asked for anew, so that a report does not
// flap each time a tag has to be looked up again; Resolve is for those who need it exact. If nothing was known the second result is false, the
// facts say NotResolved, and a fetch is on its way. A remembered failure counts as known.
func (r *Resolver) Lookup(q posture.ImageQuery) (posture.ImageFacts, bool) {
	facts, _, known := r.look(q)
	if known {
		return facts, true
	}
	if earlier, found := r.earlier(q); found {
		return earlier, true
	}
	return facts, false
}

// earlier is what was known last, be it fresh or not.
func (r *Resolver) earlier(q posture.ImageQuery) (posture.ImageFacts, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, found := r.stored(keyOf(q, ""))
	if found && last.failure.denied() && q.Namespace != "" {
		last, found = r.stored(keyOf(q, scopeOf(q)))
	}
	return last.facts, found
}

// Resolve answers from memory or waits for the fetch, which everybody who asks shares, until the context ends. It then says NotResolved
// while the fetch goes on and fills the memory.
func (r *Resolver) Resolve(ctx context.Context, q posture.ImageQuery) posture.ImageFacts {
	facts, pending, known := r.look(q)
	for !known && pending != nil {
		select {
		case <-ctx.Done():
			return facts
		case <-pending.done:
		}
		if pending.key.scope != "" || q.Namespace == "" || !wantsCredentials(pending.facts.Unknown) {
			return pending.facts
		}
		facts, pending, known = r.look(q)
	}
	return facts
}

// NextLook is the instant from which asking again may give another answer; zero if never. While a fetch is on its way that is when it has ended
// in any case: listeners hear of it only if it changes something.
func (r *Resolver) NextLook(q posture.ImageQuery) time.Time {
	facts, _, known := r.find(q)
	if !known {
		return r.clock.Now().Add(r.config.Timeout)
	}
	if facts.Unknown == "" && strings.Contains(q.Reference, "@") {
		return time.Time{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range []lookupKey{keyOf(q, scopeOf(q)), keyOf(q, "")} {
		if e, fresh := r.entry(key); fresh {
			return e.until
		}
	}
	return time.Time{}
}

func (r *Resolver) look(q posture.ImageQuery) (facts posture.ImageFacts, pending *flight, known bool) {
	facts, pending, known = r.find(q)
	result := "missing"
	switch {
	case known && facts.Unknown == "":
		result = "known"
	case known:
		result = "failed"
	case pending == nil:
		result = "full"
	}
	metrics.RegistryLookups.WithLabelValues(result).Inc()
	return facts, pending, known
}

func (r *Resolver) find(q posture.ImageQuery) (posture.ImageFacts, *flight, bool) {
	t, err := parseReference(q.Reference)
	if err != nil {
		fail := invalidReference()
		return posture.ImageFacts{Unknown: fail.reason, Detail: fail.detail}, nil, true
	}
	if t.digest != "" {
		if facts, found := r.digests.get(t.digest, q.Platform); found {
			return facts, nil, true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	shared, fresh := r.entry(keyOf(q, ""))
	if !fresh {
		return r.begin(keyOf(q, ""), q, failure{})
	}
	if !shared.failure.denied() || q.Namespace == "" {
		return shared.facts, nil, true
	}
	scoped, fresh := r.entry(keyOf(q, scopeOf(q)))
	if !fresh {
		return r.begin(keyOf(q, scopeOf(q)), q, shared.failure)
	}
	return scoped.facts, nil, true
}

// begin joins the fetch of a key or queues one. The caller holds the lock.
func (r *Resolver) begin(key lookupKey, q posture.ImageQuery, denied failure) (posture.ImageFacts, *flight, bool) {
	if f, found := r.flights[key]; found {
		return notResolved("the registry has been asked and has not answered yet"), f, false
	}
	if r.stopped {
		return notResolved("labguard is stopping"), nil, false
	}
	f := &flight{key: key, query: q, denied: denied, done: make(chan struct{})}
	select {
	case r.queue <- f:
		r.flights[key] = f
		metrics.RegistryPending.Inc()
		return notResolved("the registry has been asked and has not answered yet"), f, false
	default:
		return notResolved("too many images wait to be looked up; labguard asks again later"), nil, false
	}
}

func (r *Resolver) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-r.queue:
			r.run(ctx, f)
		}
	}
}

func (r *Resolver) run(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	started := r.clock.Now()
	var (
		facts posture.ImageFacts
		fail  failure
	)
	if f.key.scope == "" {
		facts, fail = r.fetcher.shared(ctx, f.query)
	} else {
		facts, fail = r.fetcher.scoped(ctx, f.query, f.key.scope, f.denied)
	}
	result := "Resolved"
	if fail.reason != "" {
		result = fail.reason
		facts = posture.ImageFacts{Unknown: fail.reason, Detail: fail.detail}
	}
	metrics.RegistryFetches.WithLabelValues(result).Inc()
	metrics.RegistryFetchSeconds.Observe(r.clock.Since(started).Seconds())
	r.finish(f, facts, fail)
}

// finish remembers what a fetch gave, wakes who waits for it and tells the listeners.
func (r *Resolver) finish(f *flight, facts posture.ImageFacts, fail failure) {
	r.mu.Lock()
	now := r.clock.Now()
	before, _ := r.stored(f.key)
	kept := entry{facts: facts, failure: fail, until: now.Add(r.config.TagTTL)}
	if fail.reason != "" {
		kept.until = now.Add(r.fetcher.lifetime(fail))
		if f.key.scope == "" && fail.reason == v1alpha1.ReasonCredentialsNotReadable {
			kept.until = now.Add(deniedTTL)
		}
		if fail.transient() && before.facts.Digest != "" && now.Sub(before.facts.ResolvedAt) < tagGrace {
			kept.facts, kept.failure = before.facts, failure{}
		}
	}
	if !fail.aborted {
		r.entries.Add(f.key, kept)
	}
	f.facts = kept.facts
	delete(r.flights, f.key)
	metrics.RegistryPending.Dec()
	listeners := r.listeners
	r.mu.Unlock()
	close(f.done)
	if fail.aborted || same(before.facts, kept.facts) {
		return
	}
	for _, listener := range listeners {
		listener(f.query.Reference)
	}
}

func same(a, b posture.ImageFacts) bool {
	a.ResolvedAt, b.ResolvedAt = time.Time{}, time.Time{}
	return a == b
}

// entry is what is known under a key and still fresh; stored is what was known last. The caller holds the lock.
func (r *Resolver) entry(key lookupKey) (entry, bool) {
	e, found := r.stored(key)
	return e, found && r.clock.Now().Before(e.until)
}

func (r *Resolver) stored(key lookupKey) (entry, bool) {
	found, _ := r.entries.Get(key)
	e, ok := found.(entry)
	return e, ok
}

func keyOf(q posture.ImageQuery, scope string) lookupKey {
	return lookupKey{reference: q.Reference, platform: q.Platform, scope: scope}
}

// scopeOf names whose pull secrets a query uses. None of the parts can hold a slash.
func scopeOf(q posture.ImageQuery) string {
	return q.Namespace + "/" + q.ServiceAccount + "/" + strings.Join(q.PullSecrets, "/")
}

func notResolved(detail string) posture.ImageFacts {
	return posture.ImageFacts{Unknown: v1alpha1.ReasonNotResolved, Detail: detail}
}
