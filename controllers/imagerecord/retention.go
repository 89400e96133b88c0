// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/ledger"
)

const (
	// Retention is how long a record is kept after the last reference to its image is gone, as a RolloutRecord after its root: who rolls back
	// within it finds the facts.
	Retention = ledger.Retention
	// newFor is how long a new record is left alone: the gate reads an image before anything refers to it.
	newFor = time.Hour
	// lookEvery is how often a record is looked at, and as much again of jitter.
	lookEvery = 4 * time.Hour
)

// plan is what is to be done about a record.
type plan struct {
	// unusedSince is what its status has to say.
	unusedSince *metav1.Time
	// expired says that it is to be deleted.
	expired bool
	// ends is when the retention ends; zero while it has not begun.
	ends time.Time
}

// retain says what is to be done about a record.
func retain(status v1alpha1.ImageRecordStatus, used bool, now time.Time) plan {
	if used {
		return plan{}
	}
	since := status.UnusedSince
	if since == nil {
		since = stamp(now)
	}
	ends := since.Add(Retention)
	return plan{unusedSince: since, expired: !now.Before(ends), ends: ends}
}

// isNew is for how much longer a record is left alone.
func isNew(record *v1alpha1.ImageRecord, now time.Time) time.Duration {
	if record.Status.UnusedSince != nil {
		return 0
	}
	return max(0, min(newFor, record.Spec.FirstSeen.Add(newFor).Sub(now)))
}
