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

	detailPending = "the registry has been asked and has not answered yet"
	detailSlow    = "the registry has been asked and has not answered in time; labguard goes on asking and waits for it no longer"
)

// Resolver answers questions about images from memory and fetches what it does not know in the background.
type Resolver struct {
	config   Config
	fetcher  *fetcher
	clock    clock.PassiveClock
	contents *contents
	// targets are references that were parsed before: the validator asks for the same ones over and over.
	targets *lru.Cache // reference -> target
	// wake tells the dispatcher that a fetch may be ready to start.
	wake chan struct{}

	mu        sync.Mutex
	queue     queue
	slow      *lru.Cache // host -> time.Time until which nobody waits for it
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
	// host is the registry that the reference names, lane where the fetch waits or runs.
	host string
	lane *lane
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
	known := newContents(config.CacheEntries, config.Records, passive)
	return &Resolver{
		config: config, clock: passive, contents: known,
		fetcher: &fetcher{
			config: config, sites: all, secrets: secrets, clock: passive,
			blocks: blocks{entries: lru.New(config.CacheEntries)},
			client: &registryClient{
				config: config, base: newRoundTripper(config, all, passive), clock: passive,
				contents: known, sessions: lru.New(sessionEntries),
			},
		},
		targets: lru.New(config.CacheEntries),
		wake:    make(chan struct{}, 1),
		queue:   newQueue(config),
		slow:    lru.New(sessionEntries),
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
	for ctx.Err() == nil {
		for f := r.next(); f != nil; f = r.next() {
			workers.Go(func() { r.run(ctx, f) })
		}
		select {
		case <-ctx.Done():
		case <-r.wake:
		}
	}
	workers.Wait()
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	for f := r.next(); f != nil; f = r.next() {
		r.finish(f, notResolved("labguard is stopping"), failure{aborted: true})
	}
	return nil
}

func (r *Resolver) next() *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue.next()
}

// Lookup answers from memory: it never blocks and never does I/O. What was known stands while it is asked for anew, so that a report does not
// flap each time a tag has to be looked up again; Current and Resolve are for those who need it exact. If nothing was known the second result is false, the
// facts say NotResolved, and a fetch is on its way. A remembered failure counts as known.
func (r *Resolver) Lookup(q posture.ImageQuery) (posture.ImageFacts, bool) {
	found := r.look(q)
	if found.known {
		return found.facts, true
	}
	if earlier, found := r.earlier(q); found {
		return earlier, true
	}
	return found.facts, false
}

// Current is Lookup for those who need it exact: what a tag meant counts for its time and no longer. Where nothing exact is known the second result
// is false, a fetch is on its way, and the facts are those that stand until the registry has answered, as Resolve gives them.
func (r *Resolver) Current(q posture.ImageQuery) (posture.ImageFacts, bool) {
	found := r.look(q)
	if found.known {
		return found.facts, true
	}
	return r.standing(q, found.facts), false
}

// standing is what a tag was seen to mean within the last hour, or else what is to be said otherwise.
func (r *Resolver) standing(q posture.ImageQuery, otherwise posture.ImageFacts) posture.ImageFacts {
	last, found := r.earlier(q)
	if found && last.Digest != "" && r.clock.Since(last.ResolvedAt) < tagGrace {
		return last
	}
	return otherwise
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

// OfConfig is what is known of the image whose configuration has a digest, for nodes that report that as the image of a container, as they do for
// images that were loaded by hand. It answers at once, and no registry is asked: none can find an image by its configuration.
func (r *Resolver) OfConfig(configDigest string) (posture.ImageFacts, bool) {
	content, found := r.contents.ofConfig(configDigest)
	if !found || content.IsIndex {
		return posture.ImageFacts{}, false
	}
	facts, _ := posture.FactsOf(content.Digest, content.Platform, func(string) (posture.Content, bool) { return content, true })
	facts.ResolvedAt = content.FirstSeen
	return r.contents.withSameContent(facts, posture.Repository(content.Reference), content.Layers), true
}

// NextLook is the instant from which asking again may give another answer; zero if never. While a fetch is on its way that is when it has ended
// in any case: listeners hear of it only if it changes something.
func (r *Resolver) NextLook(q posture.ImageQuery) time.Time {
	found := r.find(q)
	if !found.known {
		return r.clock.Now().Add(r.config.Timeout)
	}
	if found.facts.Unknown == "" && strings.Contains(q.Reference, "@") {
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

// answer is what memory has about a query. If it is not known, pending is the fetch that will tell; nil if none could be begun.
type answer struct {
	facts           posture.ImageFacts
	pending         *flight
	known, recorded bool
}

func (r *Resolver) look(q posture.ImageQuery) answer {
	found := r.find(q)
	result := "missing"
	switch {
	case found.known && found.facts.Unknown != "":
		result = "failed"
	case found.recorded:
		result = "recorded"
	case found.known:
		result = "known"
	case found.pending == nil:
		result = "full"
	default:
		if _, isSlow := r.slowness(found.pending); isSlow {
			result = "slow"
		}
	}
	metrics.RegistryLookups.WithLabelValues(result).Inc()
	return found
}

func (r *Resolver) find(q posture.ImageQuery) answer {
	t, err := r.target(q.Reference)
	if err != nil {
		fail := invalidReference()
		return answer{facts: posture.ImageFacts{Unknown: fail.reason, Detail: fail.detail}, known: true}
	}
	if t.digest != "" {
		if facts, missing, recorded := r.contents.facts(posture.Repository(q.Reference), t.digest, q.Platform); missing == "" {
			return answer{facts: facts, known: true, recorded: recorded}
		}
	}
	host := t.repository.RegistryStr()
	r.mu.Lock()
	defer r.mu.Unlock()
	shared, fresh := r.entry(keyOf(q, ""))
	if !fresh {
		return r.begin(&flight{key: keyOf(q, ""), query: q, host: host})
	}
	if !shared.failure.denied() || q.Namespace == "" {
		return answer{facts: shared.facts, known: true}
	}
	scoped, fresh := r.entry(keyOf(q, scopeOf(q)))
	if !fresh {
		return r.begin(&flight{key: keyOf(q, scopeOf(q)), query: q, host: host, denied: shared.failure})
	}
	return answer{facts: scoped.facts, known: true}
}

// target parses a reference, once.
func (r *Resolver) target(reference string) (target, error) {
	known, _ := r.targets.Get(reference)
	if t, ok := known.(*target); ok {
		return *t, nil
	}
	t, err := parseReference(reference)
	if err == nil {
		r.targets.Add(reference, &t)
	}
	return t, err
}

// begin joins the fetch of a key or queues this one. The caller holds the lock.
func (r *Resolver) begin(f *flight) answer {
	if earlier, found := r.flights[f.key]; found {
		return answer{facts: notResolved(detailPending), pending: earlier}
	}
	if r.stopped {
		return answer{facts: notResolved("labguard is stopping")}
	}
	f.done = make(chan struct{})
	if !r.queue.add(f) {
		return answer{facts: notResolved("too many images wait to be looked up; labguard asks again later")}
	}
	r.flights[f.key] = f
	metrics.RegistryPending.Inc()
	r.nudge()
	return answer{facts: notResolved(detailPending), pending: f}
}

// nudge wakes the dispatcher, which need not be told twice.
func (r *Resolver) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// ended says whether the facts of a fetch are there.
func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
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
	kept := entry{facts: facts, failure: fail, until: now.Add(r.config.spread(r.config.TagTTL))}
	if fail.reason != "" {
		kept.until = now.Add(r.fetcher.lifetime(fail))
		if f.key.scope == "" && fail.reason == v1alpha1.ReasonCredentialsNotReadable {
			kept.until = now.Add(r.config.spread(deniedTTL))
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
	close(f.done) // before its host is called slow, so that who waits for it hears this answer
	switch {
	case fail.silent && !fail.wholeHost: // else the next fetch ends at once, with a better answer
		r.markSlow(f.lane)
	case !fail.aborted:
		r.markAnswering(f.lane)
	}
	r.queue.done(f)
	metrics.RegistryPending.Dec()
	listeners := r.listeners
	r.mu.Unlock()
	r.nudge()
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
