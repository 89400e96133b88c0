// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"strconv"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// RecoveryEnd is when the recovery of a namespace ends by its label: the instant of the label, at most 24 h after labguard first saw it
// (a value far ahead, or one that was set while labguard was away, counts from then). It is false where the label is absent.
// A value that is no number ends at once.
func RecoveryEnd(labels map[string]string, epoch *v1alpha1.Epoch, now time.Time) (time.Time, bool) {
	value, found := labels[v1alpha1.RecoveryLabel]
	if !found {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return now, true
	}
	first := now
	if epoch != nil && epoch.RecoverySince != nil {
		first = epoch.RecoverySince.Time
	}
	latest := first.Add(MaxRecovery)
	if end := time.Unix(seconds, 0); end.Before(latest) {
		return end, true
	}
	return latest, true
}
