// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"sync"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// maxWaiting is how many requests wait for facts at once. Beyond it a request is answered at once with what is known, so that a silent registry
// never fills the memory of labguard, nor the API server, with requests that wait.
const maxWaiting = 256

// gatherer gives the facts that it can for queries, in their order, and which of them are known for certain.
type gatherer func(ctx context.Context, queries []posture.ImageQuery) ([]posture.ImageFacts, []bool)

// recall gives what is known already.
func (g *Gate) recall(_ context.Context, queries []posture.ImageQuery) (facts []posture.ImageFacts, known []bool) {
	facts, known = make([]posture.ImageFacts, len(queries)), make([]bool, len(queries))
	for i := range queries {
		facts[i], known[i] = g.Facts.Current(queries[i])
	}
	return facts, known
}

// await gives what is known already, and waits for the rest: once for all, and no longer than Wait.
func (g *Gate) await(ctx context.Context, queries []posture.ImageQuery) (facts []posture.ImageFacts, known []bool) {
	facts, known = g.recall(ctx, queries)
	missing := 0
	for _, one := range known {
		if !one {
			missing++
		}
	}
	if missing == 0 {
		return facts, known
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > maxWaiting {
		metrics.AdmissionWaits.WithLabelValues("full").Inc()
		for i := range facts {
			if !known[i] && facts[i].Unknown == v1alpha1.ReasonNotResolved {
				facts[i] = posture.ImageFacts{Unknown: v1alpha1.ReasonNotResolved, Detail: "too many requests wait for registries already"}
			}
		}
		return facts, known
	}
	started := g.Clock.Now()
	g.resolve(ctx, queries, facts, known)
	metrics.AdmissionWaitSeconds.Observe(g.Clock.Since(started).Seconds())
	metrics.AdmissionWaits.WithLabelValues(waitResult(facts)).Inc()
	return facts, known
}

// resolve waits for all facts that are not known, side by side.
func (g *Gate) resolve(ctx context.Context, queries []posture.ImageQuery, facts []posture.ImageFacts, known []bool) {
	ctx, cancel := context.WithTimeout(ctx, g.Wait)
	defer cancel()
	var waiting sync.WaitGroup
	for i := range queries {
		if !known[i] {
			waiting.Go(func() {
				facts[i] = g.Facts.Resolve(ctx, queries[i])
				known[i] = facts[i].Unknown != v1alpha1.ReasonNotResolved
			})
		}
	}
	waiting.Wait()
}

func waitResult(facts []posture.ImageFacts) string {
	for i := range facts {
		if facts[i].Unknown == v1alpha1.ReasonNotResolved {
			return "expired"
		}
	}
	return "answered"
}
