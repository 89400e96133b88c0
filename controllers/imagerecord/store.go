// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// MaxRecords is about how many records a cluster has at most. Whoever may create pods can name ever new images, and each would be an object for
	// 30 days. Beyond it nothing new is recorded, and labguard works from the memory of each replica as before. It is counted once a minute
	// on each replica, so that a few more may be there.
	MaxRecords = 50_000
	// maxWaiting is how many contents wait to be written. A content that finds no room is written when it is read the next time.
	maxWaiting = 4096
	// firstRetry and lastRetry bound the wait before a write that has failed is tried again.
	firstRetry, lastRetry = time.Second, 5 * time.Minute
	// countEvery is how often the records of the cluster are counted while there is something to write, sayEvery how often a trouble is logged.
	countEvery, sayEvery = time.Minute, time.Minute
)

// Store reads what is recorded of images from the caches and records what is new. It satisfies registry.Records.
type Store struct {
	reader client.Reader
	writer client.Writer
	clock  clock.WithTicker
	queue  workqueue.TypedRateLimitingInterface[string]
	// What only Start uses: how many records the cluster had when they were counted, with those written since, and what was logged when.
	counted time.Time
	records int
	said    map[string]time.Time

	mu      sync.Mutex
	waiting map[string]*v1alpha1.ImageRecord
}

// NewStore makes a store. reader answers from caches that have the indexes of IndexFields.
func NewStore(reader client.Reader, writer client.Writer, ticking clock.WithTicker) *Store {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	return &Store{
		reader: reader, writer: writer, clock: ticking,
		queue:   workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[string]{Clock: ticking}),
		said:    map[string]time.Time{},
		waiting: map[string]*v1alpha1.ImageRecord{},
	}
}

// Content is what is recorded of a digest. Until the caches are filled nothing is.
func (s *Store) Content(digest string) (posture.Content, bool) { return s.content(atOnce(), digest) }

func (s *Store) content(ctx context.Context, digest string) (posture.Content, bool) {
	var record v1alpha1.ImageRecord
	key := client.ObjectKey{Name: v1alpha1.ImageRecordName(digest)}
	if err := s.reader.Get(ctx, key, &record, client.UnsafeDisableDeepCopy); err != nil || record.Spec.Digest != digest {
		return posture.Content{}, false
	}
	return posture.ContentOf(&record), true
}

// OfConfig is the recorded image whose configuration has this digest; of several, which then differ in how their layers are compressed, the one
// with the smallest digest, so that every replica gives the same.
func (s *Store) OfConfig(configDigest string) (posture.Content, bool) {
	found := s.find(byConfig, configDigest)
	if len(found) == 0 {
		return posture.Content{}, false
	}
	first := &found[0]
	for i := range found {
		if found[i].Spec.Digest < first.Spec.Digest {
			first = &found[i]
		}
	}
	return posture.ContentOf(first), true
}

// SameContentSince is the earliest instant at which an image with these layers is known to have been in a repository (as posture.Repository spells
// it): when it was made, if its date is plausible, or when labguard first read it. Zero if none is recorded.
func (s *Store) SameContentSince(repository, layers string) time.Time {
	if layers == "" {
		return time.Time{}
	}
	var since time.Time
	found := s.find(byFiles, filesKey(repository, layers))
	for i := range found {
		since = posture.Earliest(since, posture.ContentOf(&found[i]).KnownSince())
	}
	return since
}

// find are the records that an index has. They are those of the cache: nobody may change them.
func (s *Store) find(index, value string) []v1alpha1.ImageRecord {
	if value == "" {
		return nil
	}
	var records v1alpha1.ImageRecordList
	if err := s.reader.List(atOnce(), &records, client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the caches are not filled yet: nothing is known, and the registry is asked
	}
	return records.Items
}

// Keep has a content recorded in the background: it neither blocks nor fails. What is recorded already, or waits to be, costs nothing.
func (s *Store) Keep(content posture.Content) {
	if _, recorded := s.Content(content.Digest); recorded {
		return
	}
	record, carried := RecordOf(content)
	if !carried {
		metrics.ImageRecordWrites.WithLabelValues(metrics.ImageRecordNotCarried).Inc()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[content.Digest] != nil {
		return
	}
	if len(s.waiting) >= maxWaiting {
		metrics.ImageRecordWrites.WithLabelValues(metrics.ImageRecordQueueFull).Inc()
		return
	}
	s.waiting[content.Digest] = record
	s.queue.Add(content.Digest)
}

// atOnce is for reads that must not wait for a cache to be filled: it has ended already, and a filled cache does not look at it.
func atOnce() context.Context {
	ended, end := context.WithCancel(context.Background())
	end()
	return ended
}
