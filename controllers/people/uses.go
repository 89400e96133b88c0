// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
)

const (
	// gatherFor is how long requests are gathered before the object of their user and namespace is written again. The first is written at once.
	gatherFor = 5 * time.Second
	// maxPlaces is of how many users and namespaces requests wait to be written. The metric and the audit log have what finds no room.
	maxPlaces = 1024
	// finishWithin is how long a process that ends goes on writing what waits.
	finishWithin = 5 * time.Second
)

// place is who, and where.
type place struct{ namespace, user string }

// Uses writes down who goes around the rules by break glass. Each replica answers requests, so each has one.
type Uses struct {
	writer client.Client
	// live reads from the API server: what is acknowledged by now decides whether a use is a new one.
	live     client.Reader
	recorder events.EventRecorder
	clock    clock.WithTicker
	// namespace is labguard's own.
	namespace string
	queue     workqueue.TypedRateLimitingInterface[place]

	lock    sync.Mutex
	waiting map[place]gathered
	written map[place]time.Time
}

// +kubebuilder:rbac:groups=labguard.dev,resources=breakglassuses,verbs=list;create;update

// NewUses makes it. live reads from the API server, and namespace is labguard's own.
func NewUses(writer client.Client, live client.Reader, recorder events.EventRecorder, ticking clock.WithTicker, namespace string) *Uses {
	return &Uses{
		writer: writer, live: live, recorder: recorder, clock: ticking, namespace: namespace, queue: retrying[place](ticking),
		waiting: map[place]gathered{}, written: map[place]time.Time{},
	}
}

// Used says that a user has gone around the rules of a namespace by break glass; empty stands for what has no namespace, and is noted in labguard's own. It
// neither blocks nor fails. All texts have to fit into a BreakGlassUse.
func (u *Uses) Used(namespace, user string, request v1alpha1.BreakGlassRequest) {
	at := place{namespace: cmp.Or(namespace, u.namespace), user: user}
	metrics.BreakGlassRequests.WithLabelValues(at.namespace).Inc()
	u.lock.Lock()
	defer u.lock.Unlock()
	before, waits := u.waiting[at]
	if !waits && len(u.waiting) >= maxPlaces {
		return
	}
	u.waiting[at] = before.and(one(request))
	if waits {
		return // it is in the queue
	}
	u.queue.AddAfter(at, max(0, u.written[at].Add(gatherFor).Sub(u.clock.Now())))
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica answers admission.
func (u *Uses) NeedLeaderElection() bool { return false }

// Start writes until the context ends, and then what still waits, within some seconds.
func (u *Uses) Start(ctx context.Context) error {
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithName("break-glass"))
	stop := context.AfterFunc(ctx, u.queue.ShutDown)
	defer stop()
	for {
		at, ended := u.queue.Get()
		if ended || ctx.Err() != nil {
			break
		}
		u.work(ctx, at)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	u.lock.Lock()
	left := slices.Collect(maps.Keys(u.waiting))
	u.lock.Unlock()
	for _, at := range left {
		u.work(last, at)
	}
	return nil
}

// work writes what was gathered of one user in one namespace, or has it tried again later.
func (u *Uses) work(ctx context.Context, at place) {
	defer u.queue.Done(at)
	u.lock.Lock()
	requests := u.waiting[at]
	delete(u.waiting, at)
	u.lock.Unlock()
	if requests.count == 0 {
		return
	}
	err := u.write(ctx, at, requests)
	switch {
	case err == nil:
		u.queue.Forget(at)
		u.lock.Lock()
		defer u.lock.Unlock()
		if len(u.written) >= maxPlaces {
			clear(u.written)
		}
		u.written[at] = u.clock.Now()
	case errors.Is(err, errNowhere):
		log.FromContext(ctx).Error(err, "a use of break glass cannot be recorded; the audit log has it", "namespace", at.namespace, "requests", requests.count)
		u.queue.Forget(at)
	default:
		log.FromContext(ctx).Error(err, "a use of break glass cannot be recorded, which is tried again", "namespace", at.namespace)
		u.lock.Lock()
		u.waiting[at] = requests.and(u.waiting[at])
		u.lock.Unlock()
		u.queue.AddRateLimited(at)
	}
}
