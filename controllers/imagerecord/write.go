// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
)

// +kubebuilder:rbac:groups=labguard.dev,resources=imagerecords,verbs=get;list;watch;create

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica answers admission and reads images, so every replica records what it
// has read. The name of a record makes it once per cluster.
func (s *Store) NeedLeaderElection() bool { return false }

// Start writes until the context ends. What waits then is lost with the process, and written when it is read the next time. A Store is started once.
func (s *Store) Start(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.queue.ShutDown)()
	for {
		digest, ended := s.queue.Get()
		if ended || ctx.Err() != nil {
			return nil
		}
		s.work(log.IntoContext(ctx, log.FromContext(ctx).WithName("imagerecord")), digest)
	}
}

// work writes one record, or has it tried again later.
func (s *Store) work(ctx context.Context, digest string) {
	defer s.queue.Done(digest)
	s.mu.Lock()
	record, full := s.waiting[digest], len(s.waiting) >= maxWaiting
	s.mu.Unlock()
	if full {
		s.say(ctx, "too many images wait to be recorded: more are not taken until these are written", nil)
	}
	result, err := s.write(ctx, record)
	metrics.ImageRecordWrites.WithLabelValues(result).Inc()
	switch result {
	case metrics.ImageRecordFailed:
		s.say(ctx, "an image cannot be recorded, which is tried again", err)
		s.queue.AddRateLimited(digest)
		return
	case metrics.ImageRecordRefused:
		s.say(ctx, "the API server refuses the record of an image, which stays in memory", err)
	case metrics.ImageRecordLimit:
		s.say(ctx, fmt.Sprintf("the cluster has %d image records: no more are written until unused ones are deleted", MaxRecords), nil)
	default:
	}
	s.queue.Forget(digest)
	s.mu.Lock()
	delete(s.waiting, digest)
	s.mu.Unlock()
}

// write creates a record, unless it is there or there are too many.
func (s *Store) write(ctx context.Context, record *v1alpha1.ImageRecord) (result string, err error) {
	if _, recorded := s.content(ctx, record.Spec.Digest); recorded {
		return metrics.ImageRecordKnown, nil
	}
	room, err := s.room(ctx)
	if err != nil {
		return metrics.ImageRecordFailed, err
	}
	if !room {
		return metrics.ImageRecordLimit, nil
	}
	err = s.writer.Create(ctx, record.DeepCopy(), client.FieldOwner(v1alpha1.FieldManager))
	switch {
	case err == nil:
		s.records++
		return metrics.ImageRecordWritten, nil
	case apierrors.IsAlreadyExists(err):
		return metrics.ImageRecordKnown, nil
	case apierrors.IsInvalid(err), apierrors.IsRequestEntityTooLargeError(err):
		return metrics.ImageRecordRefused, fmt.Errorf("create image record %s: %w", record.Name, err)
	default:
		return metrics.ImageRecordFailed, fmt.Errorf("create image record %s: %w", record.Name, err)
	}
}

// room says whether the cluster may have one more record. Only Start calls it.
func (s *Store) room(ctx context.Context) (bool, error) {
	if now := s.clock.Now(); s.counted.IsZero() || now.Sub(s.counted) >= countEvery {
		var records v1alpha1.ImageRecordList
		if err := s.reader.List(ctx, &records, client.Limit(MaxRecords), client.UnsafeDisableDeepCopy); err != nil {
			return false, fmt.Errorf("count image records: %w", err)
		}
		s.counted, s.records = now, len(records.Items)
	}
	return s.records < MaxRecords, nil
}

// say logs a trouble at most once a minute, as it is the same for each image. Only Start calls it.
func (s *Store) say(ctx context.Context, message string, err error) {
	now := s.clock.Now()
	if last, before := s.said[message]; before && now.Sub(last) < sayEvery {
		return
	}
	s.said[message] = now
	if err != nil {
		log.FromContext(ctx).Error(err, message)
		return
	}
	log.FromContext(ctx).Info(message)
}
