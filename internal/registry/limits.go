// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"sync"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// limits holds a token bucket for each host, so that labguard is not the client that a registry throttles. Token servers and storage behind a
// redirect are hosts of their own.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu      sync.Mutex
	buckets *lru.Cache // host -> *rate.Limiter
}

func newLimits(config Config) *limits {
	return &limits{perSecond: rate.Limit(config.RequestsPerSecond), burst: config.RequestBurst, buckets: lru.New(sessionEntries)}
}

// wait returns when a request may be sent. Where that would be after the deadline of the fetch it fails at once, with errHeldBack.
func (l *limits) wait(ctx context.Context, host string) error {
	if err := l.bucket(host).Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errHeldBack
	}
	return nil
}

func (l *limits) bucket(host string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, _ := l.buckets.Get(host)
	bucket, ok := found.(*rate.Limiter)
	if !ok {
		bucket = rate.NewLimiter(l.perSecond, l.burst)
		l.buckets.Add(host, bucket)
	}
	return bucket
}
