// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/metrics"
)

// openTally counts the open uses of break glass of each namespace. The zero value is ready.
type openTally struct {
	lock  sync.Mutex
	open  map[client.ObjectKey]bool
	count map[string]int
}

// set notes whether a use is open. A series that comes to zero goes.
func (t *openTally) set(key client.ObjectKey, open bool) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.open[key] == open {
		return
	}
	if t.open == nil {
		t.open, t.count = map[client.ObjectKey]bool{}, map[string]int{}
	}
	if open {
		t.open[key] = true
		t.count[key.Namespace]++
	} else {
		delete(t.open, key)
		t.count[key.Namespace]--
	}
	if t.count[key.Namespace] == 0 {
		delete(t.count, key.Namespace)
		metrics.BreakGlassOpen.DeleteLabelValues(key.Namespace)
		return
	}
	metrics.BreakGlassOpen.WithLabelValues(key.Namespace).Set(float64(t.count[key.Namespace]))
}
