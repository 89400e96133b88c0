// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// series are the series of a metric in one namespace, by their other labels in the order of their names, or those without labels.
func series(t *testing.T, collector prometheus.Collector, namespace string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			in, others := "", []string{}
			for _, label := range metric.GetLabel() {
				if label.GetName() == "namespace" {
					in = label.GetValue()
					continue
				}
				others = append(others, label.GetValue())
			}
			if in == namespace {
				found[strings.Join(others, " ")] = metric.GetGauge().GetValue()
			}
		}
	}
	return found
}

func counted(answers map[string]int) *posture.ImagesReport {
	return &posture.ImagesReport{Answers: answers}
}

func TestTheImagesOfANamespaceAreCountedByTheirAnswer(t *testing.T) {
	var books tally
	const namespace = "of-the-tally"
	first, second := client.ObjectKey{Namespace: namespace, Name: "a"}, client.ObjectKey{Namespace: namespace, Name: "b"}
	for i, step := range []struct {
		do   func()
		want map[string]float64
	}{
		{func() { books.set(first, counted(map[string]int{posture.ImageFresh: 2, posture.ImageStale: 1}), nil) }, map[string]float64{"Fresh": 2, "Stale": 1}},
		{func() { books.set(second, counted(map[string]int{posture.ImageFresh: 3}), nil) }, map[string]float64{"Fresh": 5, "Stale": 1}},
		{func() { books.set(second, counted(map[string]int{posture.ImageFresh: 3}), nil) }, map[string]float64{"Fresh": 5, "Stale": 1}},
		{func() { books.set(first, counted(map[string]int{posture.ImageTooYoung: 1}), nil) }, map[string]float64{"Fresh": 3, "TooYoung": 1}},
		{func() { books.set(first, nil, nil) }, map[string]float64{"Fresh": 3}},
		{func() { books.forget(second) }, map[string]float64{}},
		{func() { books.forget(second) }, map[string]float64{}},
	} {
		step.do()
		if diff := cmp.Diff(step.want, series(t, metrics.Images, namespace)); diff != "" {
			t.Fatalf("after step %d (-want +got):\n%s", i, diff)
		}
	}
	if len(books.answers)+len(books.images)+len(books.changes) > 0 {
		t.Errorf("something is left of what is gone: %+v", &books)
	}
}

func TestTheNextChangeIsTheEarliestOfAll(t *testing.T) {
	var books tally
	at := func(in time.Duration) *metav1.Time { return &metav1.Time{Time: today.Add(in).Truncate(time.Second)} }
	for i, step := range []struct {
		name string
		next *metav1.Time
		want *metav1.Time
	}{
		{"a", at(time.Hour), at(time.Hour)},
		{"b", at(2 * time.Hour), at(time.Hour)},
		{"c", at(time.Minute), at(time.Minute)},
		{"c", at(3 * time.Hour), at(time.Hour)},
		{"a", nil, at(2 * time.Hour)},
		{"b", at(4 * time.Hour), at(3 * time.Hour)},
		{"c", nil, at(4 * time.Hour)},
		{"b", nil, nil},
	} {
		books.set(client.ObjectKey{Namespace: "pathology", Name: step.name}, nil, step.next)
		want := map[string]float64{}
		if step.want != nil {
			want[""] = float64(step.want.Unix())
		}
		if diff := cmp.Diff(want, series(t, metrics.NextChangeTimestamp, "")); diff != "" {
			t.Fatalf("after step %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestALabWorkloadThatGoesTakesItsSeriesAlong(t *testing.T) {
	key := client.ObjectKey{Namespace: "of-one-that-goes", Name: "lis"}
	going := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, DeletionTimestamp: &metav1.Time{Time: today}, Finalizers: []string{"somebody.example/else"},
	}}
	for name, objects := range map[string][]client.Object{"when it is gone": nil, "while somebody else keeps it": {going}} {
		t.Run(name, func(t *testing.T) {
			r := reconcilerWith(&library{})
			r.Client = fake.NewClientBuilder().WithScheme(kinds(t)).WithObjects(objects...).Build()
			r.tally.set(key, counted(map[string]int{posture.ImageStale: 1}), &metav1.Time{Time: today})
			if len(series(t, metrics.Images, key.Namespace)) != 1 || len(series(t, metrics.NextChangeTimestamp, "")) != 1 {
				t.Fatal("the test counted nothing")
			}
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
				t.Fatal(err)
			}
			if left := series(t, metrics.Images, key.Namespace); len(left)+len(series(t, metrics.NextChangeTimestamp, "")) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// The heartbeat has to wait for its turn behind LabWorkloads, or it would say that all is well while nothing is evaluated.
func TestTheHeartbeatGoesThroughTheQueue(t *testing.T) {
	clock := testclock.NewFakeClock(today)
	r := reconcilerWith(&library{})
	r.Clock = clock
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	defer queue.ShutDown()
	lisRequest := ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "pathology", Name: "lis"}}
	queue.Add(lisRequest)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := r.beats().Start(ctx, queue); err != nil {
		t.Fatal(err)
	}
	metrics.EvaluationTimestamp.Reset()
	for i, want := range []ctrl.Request{lisRequest, heartbeat, heartbeat, heartbeat} {
		if i > 1 {
			clock.Step(heartbeatEvery)
		}
		request, _ := queue.Get()
		if request != want {
			t.Fatalf("number %d in the queue is %s, want %s", i, request, want)
		}
		if request == heartbeat {
			if result, err := r.Reconcile(ctx, request); err != nil || result.RequeueAfter != 0 {
				t.Fatalf("got %+v, %v", result, err)
			}
			if got, want := fmt.Sprint(series(t, metrics.EvaluationTimestamp, "")), fmt.Sprint(map[string]float64{"": seconds(clock.Now())}); got != want {
				t.Errorf("beat at %s, want %s", got, want)
			}
		}
		queue.Done(request)
	}
}
