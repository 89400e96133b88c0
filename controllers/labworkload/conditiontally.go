// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/metrics"
)

// transitTally counts LabWorkloads by the reason of their answer to TransitEncrypted. The zero value is ready.
type transitTally struct {
	lock    sync.Mutex
	reasons map[client.ObjectKey]string
	count   counts
}

// set notes the reason of a LabWorkload instead of the one before; empty: it has no such answer, or is gone.
func (t *transitTally) set(key client.ObjectKey, reason string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	before := t.reasons[key]
	if before == reason {
		return
	}
	if t.reasons == nil {
		t.reasons, t.count = map[client.ObjectKey]string{}, counts{}
	}
	t.add(namespacedAnswer{key.Namespace, before}, -1)
	t.add(namespacedAnswer{key.Namespace, reason}, 1)
	t.reasons[key] = reason
	if reason == "" {
		delete(t.reasons, key)
	}
}

func (t *transitTally) add(series namespacedAnswer, count int) {
	if series.answer != "" {
		t.count.add(metrics.Transit, series, count)
	}
}
