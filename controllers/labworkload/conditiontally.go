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
	count map[conditionSeries]int
}

// conditionSeries are the labels of one series.
type conditionSeries struct{ namespace, condition, status, reason string }

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
		t.said, t.count = map[client.ObjectKey][]conditionSeries{}, map[conditionSeries]int{}
	}
	// First what is new, so that a series that stays does not go and come back between two scrapes.
	t.add(said, 1)
	t.add(before, -1)
	t.said[key] = said
	if len(said) == 0 {
		delete(t.said, key)
	}
}

func (t *conditionTally) add(all []conditionSeries, count int) {
	for _, series := range all {
		t.count[series] += count
		labels := []string{series.namespace, series.condition, series.status, series.reason}
		if t.count[series] == 0 {
			delete(t.count, series)
			metrics.Conditions.DeleteLabelValues(labels...)
			continue
		}
		metrics.Conditions.WithLabelValues(labels...).Set(float64(t.count[series]))
	}
}
