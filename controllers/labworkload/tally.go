// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// tally keeps what each LabWorkload adds to the metrics of its namespace and of the cluster, so that it is taken off again when it changes or
// goes.
type tally struct {
	lock    sync.Mutex
	answers map[client.ObjectKey]map[string]int
	images  counts[namespacedAnswer]
	changes map[client.ObjectKey]time.Time
	next    time.Time
}

// labelled are the labels of one series of a metric.
type labelled interface {
	comparable
	values() []string
}

// namespacedAnswer are those of answers about images.
type namespacedAnswer struct{ namespace, answer string }

func (n namespacedAnswer) values() []string { return []string{n.namespace, n.answer} }

// counts are the values of series.
type counts[L labelled] map[L]int

// add adds to one and shows it. A series that comes to zero goes.
func (c counts[L]) add(gauge *prometheus.GaugeVec, series L, count int) {
	c[series] += count
	if c[series] == 0 {
		delete(c, series)
		gauge.DeleteLabelValues(series.values()...)
		return
	}
	gauge.WithLabelValues(series.values()...).Set(float64(c[series]))
}

// set notes the answers about the images of a LabWorkload (none if it asks for none) and when time changes its next verdict, instead of before.
func (t *tally) set(key client.ObjectKey, report *posture.ImagesReport, nextChange *metav1.Time) {
	var answers map[string]int
	if report != nil {
		answers = report.Answers
	}
	var next time.Time
	if nextChange != nil {
		next = nextChange.Time
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	t.setAnswers(key, answers)
	t.setNext(key, next)
}

// forget takes off a LabWorkload that is gone.
func (t *tally) forget(key client.ObjectKey) {
	t.set(key, nil, nil)
}

func (t *tally) setAnswers(key client.ObjectKey, answers map[string]int) {
	before := t.answers[key]
	if maps.Equal(before, answers) {
		return
	}
	if t.answers == nil {
		t.answers, t.images = map[client.ObjectKey]map[string]int{}, counts[namespacedAnswer]{}
	}
	for answer, count := range before {
		t.images.add(metrics.Images, namespacedAnswer{key.Namespace, answer}, -count)
	}
	for answer, count := range answers {
		t.images.add(metrics.Images, namespacedAnswer{key.Namespace, answer}, count)
	}
	t.answers[key] = answers
	if len(answers) == 0 {
		delete(t.answers, key)
	}
}

// setNext keeps the earliest of all. It goes through all of them only where the earliest itself has changed.
func (t *tally) setNext(key client.ObjectKey, next time.Time) {
	before := t.changes[key]
	if before.Equal(next) {
		return
	}
	if t.changes == nil {
		t.changes = map[client.ObjectKey]time.Time{}
	}
	if next.IsZero() {
		delete(t.changes, key)
	} else {
		t.changes[key] = next
	}
	earliest := posture.Earliest(t.next, next)
	if before.Equal(t.next) {
		earliest = time.Time{}
		for _, other := range t.changes {
			earliest = posture.Earliest(earliest, other)
		}
	}
	t.next = earliest
	if earliest.IsZero() {
		metrics.NextChangeTimestamp.Reset()
		return
	}
	metrics.NextChangeTimestamp.WithLabelValues().Set(seconds(earliest))
}

// seconds is an instant in seconds since 1970, as Prometheus counts.
func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
