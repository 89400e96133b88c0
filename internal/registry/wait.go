// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"time"

	"github.com/labguard/labguard/internal/posture"
)

// Resolve answers from memory or waits for the fetch, which everybody who asks shares, until the context ends. It then says what a tag
// was seen to mean within the last hour, or NotResolved, while the fetch goes on and fills the memory. A registry that let somebody wait in vain costs nobody else a wait until it has answered.
func (r *Resolver) Resolve(ctx context.Context, q posture.ImageQuery) posture.ImageFacts {
	found := r.look(q)
	for !found.known && found.pending != nil {
		pending := found.pending
		if detail := r.wait(ctx, pending); detail != "" {
			return r.standing(q, notResolved(detail))
		}
		if pending.key.scope != "" || q.Namespace == "" || !wantsCredentials(pending.facts.Unknown) {
			return pending.facts
		}
		found = r.look(q)
	}
	if found.known {
		return found.facts
	}
	return r.standing(q, found.facts)
}

// wait waits for the end of a fetch. It gives up with the context, and at once if the host of the fetch is known to be slow; it then says why.
func (r *Resolver) wait(ctx context.Context, f *flight) string {
	if f.ended() {
		return ""
	}
	if ctx.Err() != nil {
		return detailPending
	}
	slow, isSlow := r.slowness(f)
	if isSlow {
		return detailSlow
	}
	select {
	case <-f.done:
		return ""
	case <-slow:
		// The fetch that finds its host silent ends with that answer.
		if f.ended() {
			return ""
		}
		return detailSlow
	case <-ctx.Done():
		// Whoever went away before its time was up has learned nothing about the host.
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			r.waitedInVain(f)
		}
		return detailPending
	}
}

// slowness says whether the host of a fetch let somebody wait in vain, and is closed when it does.
func (r *Resolver) slowness(f *flight) (slow <-chan struct{}, isSlow bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, _ := r.slow.Get(f.host)
	instant, found := until.(time.Time)
	isSlow = found && r.clock.Now().Before(instant)
	if !isSlow {
		r.markAnswering(f.lane)
	}
	return f.lane.slow, isSlow
}

// waitedInVain remembers that the host of a fetch did not answer, unless it has by now.
func (r *Resolver) waitedInVain(f *flight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flights[f.key] == f {
		r.markSlow(f.lane)
	}
}

// markSlow ends every wait for a host until it answers or the time for a failure has passed. The caller holds the lock.
func (r *Resolver) markSlow(l *lane) {
	r.slow.Add(l.host, r.clock.Now().Add(r.config.spread(r.config.NegativeTTL)))
	if !l.isSlow {
		l.isSlow = true
		close(l.slow)
	}
}

// markAnswering lets the host be waited for again. The caller holds the lock.
func (r *Resolver) markAnswering(l *lane) {
	r.slow.Remove(l.host)
	if l.isSlow {
		l.isSlow, l.slow = false, make(chan struct{})
	}
}
