// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/metrics"
)

// conditionTally counts LabWorkloads by what their conditions say. The zero value is ready.
type conditionTally struct {
	lock  sync.Mutex
	said  map[client.ObjectKey][]conditionSeries
	count counts[conditionSeries]
}

// conditionSeries are the labels of one series.
type conditionSeries struct{ namespace, condition, status, reason string }

func (c conditionSeries) values() []string {
	return []string{c.namespace, c.condition, c.status, c.reason}
}

// set notes the conditions of a LabWorkload instead of those before; none: it is gone.
func (t *conditionTally) set(key client.ObjectKey, conditions []metav1.Condition) {
	said := make([]conditionSeries, 0, len(conditions))
	for _, condition := range conditions {
		said = append(said, conditionSeries{key.Namespace, condition.Type, string(condition.Status), condition.Reason})
	}
	slices.SortFunc(said, func(a, b conditionSeries) int { return strings.Compare(a.condition, b.condition) })
	t.lock.Lock()
	defer t.lock.Unlock()
	before := t.said[key]
	if slices.Equal(before, said) {
		return
	}
	if t.said == nil {
		t.said, t.count = map[client.ObjectKey][]conditionSeries{}, counts[conditionSeries]{}
	}
	// First what is new, so that a series that stays does not go and come back between two scrapes.
	for _, series := range said {
		t.count.add(metrics.Conditions, series, 1)
	}
	for _, series := range before {
		t.count.add(metrics.Conditions, series, -1)
	}
	t.said[key] = said
	if len(said) == 0 {
		delete(t.said, key)
	}
}
