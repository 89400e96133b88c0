// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// kept is something that is worked out from caches after they have changed, at most once in a while, and handed out in between. Of a burst of changes
// the first is answered at once and the rest together.
type kept[T any] struct {
	clock clock.WithTicker
	// every is how far two times of working it out lie apart at least.
	every   time.Duration
	workOut func(ctx context.Context) (T, error)
	// same says whether two values say the same, so that nobody has to be told.
	same func(before, after T) bool

	changed chan struct{}

	lock      sync.Mutex
	value     T
	known     bool
	listeners []func()
}

func newKept[T any](ticking clock.WithTicker, every time.Duration, workOut func(context.Context) (T, error), same func(before, after T) bool) *kept[T] {
	return &kept[T]{clock: ticking, every: every, workOut: workOut, same: same, changed: make(chan struct{}, 1)}
}

// get is the value that was worked out last; false: none was yet.
func (k *kept[T]) get() (T, bool) {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.value, k.known
}

// notify has listen called after each new value. listen must not block.
func (k *kept[T]) notify(listen func()) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.listeners = append(k.listeners, listen)
}

// poke says that something has changed. It never blocks.
func (k *kept[T]) poke() {
	select {
	case k.changed <- struct{}{}:
	default: // that is known already
	}
}

// poked calls poke for each event of an informer that says something new, as worth looking at says of two states of one object.
func (k *kept[T]) poked(news func(before, after any) bool) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { k.poke() },
		UpdateFunc: func(before, after any) {
			if news(before, after) {
				k.poke()
			}
		},
		DeleteFunc: func(any) { k.poke() },
	}
}

// keep works the value out after each change until the context ends. A failure is logged, the value before stands, and it is tried again.
func (k *kept[T]) keep(ctx context.Context, what string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.changed:
		}
		value, err := k.workOut(ctx)
		switch {
		case err == nil:
			k.set(value)
		case ctx.Err() != nil:
			return
		default:
			log.FromContext(ctx).Error(err, "cannot be worked out, which is tried again", "what", what)
			k.poke()
		}
		select {
		case <-ctx.Done():
			return
		case <-k.clock.After(k.every):
		}
	}
}

// set takes a value and tells of it if it is news.
func (k *kept[T]) set(value T) {
	k.lock.Lock()
	told := k.known && k.same(k.value, value)
	k.value, k.known = value, true
	k.lock.Unlock()
	if !told {
		k.tell()
	}
}

// tell calls whoever listens.
func (k *kept[T]) tell() {
	k.lock.Lock()
	listeners := k.listeners
	k.lock.Unlock()
	for _, listen := range listeners {
		listen()
	}
}

// otherGeneration says whether the spec of an object is another one.
func otherGeneration(before, after any) bool {
	a, errA := meta.Accessor(before)
	b, errB := meta.Accessor(after)
	return errA != nil || errB != nil || a.GetGeneration() != b.GetGeneration() || a.GetUID() != b.GetUID()
}

// otherVersion says whether an object is another than before, and not only heard of again.
func otherVersion(before, after any) bool {
	a, errA := meta.Accessor(before)
	b, errB := meta.Accessor(after)
	return errA != nil || errB != nil || a.GetResourceVersion() != b.GetResourceVersion()
}
