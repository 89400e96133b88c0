// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// heartbeatEvery is how often a sign of life goes through the queue of LabWorkloads.
const heartbeatEvery = 30 * time.Second

// heartbeat is a request that stands for no LabWorkload, since it has no namespace. It waits in the queue behind the others, so that the metric
// stands still when nothing is evaluated any more.
var heartbeat = ctrl.Request{NamespacedName: client.ObjectKey{Name: "heartbeat"}}

// beats enqueues the heartbeat for as long as the controller runs, which is on the leader alone.
func (r *Reconciler) beats() source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
		ticker := r.Clock.NewTicker(heartbeatEvery)
		queue.Add(heartbeat)
		go func() {
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C():
					queue.Add(heartbeat)
				}
			}
		}()
		return nil
	})
}
