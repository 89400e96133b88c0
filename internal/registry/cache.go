// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"time"

	"k8s.io/utils/lru"

	"github.com/labguard/labguard/internal/posture"
)

// lookupKey is what one fetch answers. scope is empty for what is asked anonymously or with the operator's credentials, and so is the
// same for everybody; else it names whose pull secrets are used, so that one namespace's refusal is never another's answer.
type lookupKey struct {
	reference string
	platform  posture.Platform
	scope     string
}

// entry is what is known under a lookupKey until an instant.
type entry struct {
	facts posture.ImageFacts
	until time.Time
	// failure is set where facts.Unknown is.
	failure failure
}

// blockKey names a host that is not asked for a while: all of it if it cannot be reached, or with one set of credentials if it throttles.
type blockKey struct {
	host, scope string
	all         bool
}

type block struct {
	failure failure
	until   time.Time
}

// blocks remembers hosts that would fail for every image, so that a dead registry costs its timeout once.
type blocks struct{ entries *lru.Cache }

func (b blocks) add(host, scope string, f failure, until time.Time) {
	key := blockKey{host: host, all: true}
	if !f.unreachable() {
		key = blockKey{host: host, scope: scope}
	}
	b.entries.Add(key, block{failure: f, until: until})
}

func (b blocks) get(host, scope string, now time.Time) (failure, bool) {
	for _, key := range []blockKey{{host: host, all: true}, {host: host, scope: scope}} {
		found, _ := b.entries.Get(key)
		if known, ok := found.(block); ok && now.Before(known.until) {
			f := known.failure
			// Whoever waits hears of it at once, so that the host is not a silent one to them.
			f.after, f.silent = known.until.Sub(now), false
			return f, true
		}
	}
	return failure{}, false
}
