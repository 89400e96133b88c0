// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// proofs remembers when the canary of each namespace is due, and how many samples have come back. A restart begins anew.
type proofs struct {
	lock sync.Mutex
	all  map[string]progress
}

type progress struct {
	due     time.Time
	since   time.Time
	samples int
	// failures is how often in a row the canary did not come back.
	failures int
}

func (p *proofs) due(namespace string) time.Time {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.all[namespace].due
}

func (p *proofs) forget(namespace string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	delete(p.all, namespace)
}

// take notes one round of the canary. It returns what to write down, nil while samples are still missing, and when the next round is due.
// What is written carries the instant from which the gate is known to stand: the first of the rounds that count.
func (p *proofs) take(namespace string, proof Proof, now time.Time, sampleEvery time.Duration) (*v1alpha1.Epoch, time.Time) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.all == nil {
		p.all = map[string]progress{}
	}
	seen := p.all[namespace]
	if seen.samples == 0 {
		seen.since = now
	}
	epoch := &v1alpha1.Epoch{Proof: proof.Reason, Detail: shorten(proof.Detail)}
	switch {
	case proof.Reason == v1alpha1.ReasonProven, proof.Reason == v1alpha1.ReasonProvenOnSampledServers && seen.samples+1 >= samples:
		since := metav1.NewTime(seen.since.UTC().Truncate(time.Second))
		epoch.EnforcedSince = &since
		seen = progress{due: now.Add(proveAgain)}
	case proof.Reason == v1alpha1.ReasonProvenOnSampledServers:
		seen.samples, seen.due, epoch = seen.samples+1, now.Add(sampleEvery), nil
	default:
		wait := min(retry<<min(seen.failures, maxDoublings), maxRetry)
		seen = progress{due: now.Add(wait), failures: seen.failures + 1}
	}
	p.all[namespace] = seen
	return epoch, seen.due
}

// shorten bounds what an API server said, between characters: half a character would come back from the API server as another text.
func shorten(text string) string {
	const limit = 400
	text = strings.ToValidUTF8(text, "?")
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return text
}
