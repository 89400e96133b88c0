// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"time"

	"k8s.io/utils/clock"
)

func clockNow() time.Time { return clock.RealClock{}.Now() }

// pause is the time between two tries.
func pause(ctx context.Context) { wait(ctx, retryAfter) }

// wait is the pace of a sender; it ends with the context.
func wait(ctx context.Context, duration time.Duration) {
	timer := clock.RealClock{}.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}
