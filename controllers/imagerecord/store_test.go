// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/registry"
)

var _ registry.Records = &Store{}

// written is how often a write had a result, in all tests of this process.
func written(t testing.TB, result string) float64 {
	t.Helper()
	all := prometheus.NewPedanticRegistry()
	all.MustRegister(metrics.ImageRecordWrites)
	families, err := all.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if metric.GetLabel()[0].GetValue() == result {
				return metric.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// eventually waits until a question is answered with yes.
func eventually(t testing.TB, what string, question func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return question(), nil })
	if err != nil {
		t.Fatalf("%s: not within a minute", what)
	}
}

// run starts a store until the test ends.
func run(t *testing.T, store *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- store.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (s *Store) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) == 0
}

// creates counts and answers the creations of records.
func creates(c client.WithWatch, answer func(count int64) error) (client.WithWatch, *atomic.Int64) {
	count := &atomic.Int64{}
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if err := answer(count.Add(1)); err != nil {
				return err
			}
			return c.Create(ctx, object, options...)
		},
	}), count
}

func takes(int64) error { return nil }

func TestWhatIsKeptIsAnsweredAndWrittenOnce(t *testing.T) {
	c, count := creates(newFake(t), takes)
	store := NewStore(c, c, testclock.NewFakeClock(start))
	if _, known := store.Content(digest(1)); known {
		t.Error("known before it was kept")
	}
	for range 3 {
		store.Keep(lis())
	}
	run(t, store)
	eventually(t, "it is recorded", func() bool { _, known := store.Content(digest(1)); return known })
	got, _ := store.Content(digest(1))
	if diff := cmp.Diff(lis(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	store.Keep(lis())
	store.Keep(lisIndex())
	eventually(t, "the index is recorded", func() bool { _, known := store.Content(digest(9)); return known })
	if got, _ := store.Content(digest(9)); cmp.Diff(lisIndex(), got) != "" {
		t.Errorf("(-want +got):\n%s", cmp.Diff(lisIndex(), got))
	}
	if count.Load() != 2 {
		t.Errorf("%d creations for two digests", count.Load())
	}
}

func TestAnImageIsFoundByTheDigestOfItsConfiguration(t *testing.T) {
	other := with(lis(), func(c *posture.Content) { c.Digest = digest(100) })
	store := NewStore(newFake(t, recordOf(t, other), recordOf(t, lis()), recordOf(t, lisIndex())), nil, testclock.NewFakeClock(start))
	if got, known := store.OfConfig(digest(2)); !known || got.Digest != digest(1) {
		t.Errorf("%t, %+v, want the image with the smaller digest", known, got)
	}
	for _, unknown := range []string{digest(1), digest(3), ""} {
		if got, known := store.OfConfig(unknown); known {
			t.Errorf("%q is the configuration of %+v", unknown, got)
		}
	}
}

func TestTheSameFilesAreAsOldAsTheFirstImageWithThem(t *testing.T) {
	image := func(number int, reference string, created, firstSeen time.Time) client.Object {
		return recordOf(t, posture.Content{
			Digest: digest(number), Reference: reference, FirstSeen: firstSeen, ConfigDigest: digest(1000 + number), Layers: digest(3), ConfigCreated: created,
		})
	}
	placeholder := time.Unix(0, 0).UTC()
	for name, test := range map[string]struct {
		records []client.Object
		want    time.Time
	}{
		"none is recorded": {nil, time.Time{}},
		"by its date":      {[]client.Object{image(1, "r.example/lis:1", start.AddDate(0, -2, 0), start)}, start.AddDate(0, -2, 0)},
		"the first of several": {[]client.Object{
			image(1, "r.example/lis:3", start.AddDate(0, -1, 0), start), image(2, "r.example/lis@"+digest(2), start.AddDate(0, -3, 0), start), image(3, "r.example/lis", start.AddDate(0, -2, 0), start),
		}, start.AddDate(0, -3, 0)},
		"without a plausible date, since it was first seen":        {[]client.Object{image(1, "r.example/lis:1", placeholder, start.AddDate(0, 0, -5))}, start.AddDate(0, 0, -5)},
		"with a date after it was seen, since it was first seen":   {[]client.Object{image(1, "r.example/lis:1", start.AddDate(1, 0, 0), start)}, start},
		"an image of another repository":                           {[]client.Object{image(1, "r.example/engine:1", start.AddDate(0, -2, 0), start)}, time.Time{}},
		"an image of a repository whose name begins in this way":   {[]client.Object{image(1, "r.example/lis/base:1", start.AddDate(0, -2, 0), start)}, time.Time{}},
		"an image with a date and one that carries a placeholder ": {[]client.Object{image(1, "r.example/lis:1", start, start), image(2, "r.example/lis:2", placeholder, start.AddDate(0, -1, 0))}, start.AddDate(0, -1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			store := NewStore(newFake(t, test.records...), nil, testclock.NewFakeClock(start))
			if got := store.SameContentSince("r.example/lis", digest(3)); !got.Equal(test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
			if got := store.SameContentSince("r.example/lis", ""); !got.IsZero() {
				t.Errorf("no layers, and since %v", got)
			}
		})
	}
}

func TestUntilTheCachesAreFilledNothingIsKnown(t *testing.T) {
	empty := interceptor.NewClient(newFake(t), interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
			return waited(ctx)
		},
		List: func(ctx context.Context, _ client.WithWatch, _ client.ObjectList, _ ...client.ListOption) error {
			return waited(ctx)
		},
	})
	store := NewStore(empty, nil, testclock.NewFakeClock(start))
	if content, known := store.Content(digest(1)); known {
		t.Errorf("%+v", content)
	}
	if content, known := store.OfConfig(digest(1)); known {
		t.Errorf("%+v", content)
	}
	if since := store.SameContentSince("r.example/lis", digest(3)); !since.IsZero() {
		t.Errorf("%v", since)
	}
	store.Keep(lis())
}

// waited is a read that waits for a cache as long as its context lets it.
func waited(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAWriteThatFailsIsTriedAgainLaterAndLater(t *testing.T) {
	c, count := creates(newFake(t), func(count int64) error {
		if count <= 3 {
			return apierrors.NewInternalError(errors.New("etcd is away"))
		}
		return nil
	})
	passive := testclock.NewFakeClock(start)
	store := NewStore(c, c, passive)
	before := written(t, metrics.ImageRecordFailed)
	store.Keep(lis())
	run(t, store)
	for attempt, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		eventually(t, fmt.Sprintf("attempt %d has failed and the next one is due later", attempt+1), func() bool {
			return written(t, metrics.ImageRecordFailed) == before+float64(attempt+1) && store.queue.NumRequeues(digest(1)) == attempt+1 && passive.HasWaiters()
		})
		passive.Step(pause - time.Millisecond)
		if count.Load() != int64(attempt+1) {
			t.Fatalf("attempt %d came too early", count.Load())
		}
		eventually(t, "the next attempt comes", func() bool { passive.Step(time.Millisecond); return count.Load() > int64(attempt+1) })
	}
	eventually(t, "it is recorded", store.idle)
	if _, known := store.Content(digest(1)); !known || store.queue.NumRequeues(digest(1)) != 0 {
		t.Errorf("recorded: %t, and %d failures are remembered", known, store.queue.NumRequeues(digest(1)))
	}
}

func TestAWriteThatCannotSucceedIsMadeOnce(t *testing.T) {
	kind, resource := v1alpha1.GroupVersion.WithKind("ImageRecord").GroupKind(), schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "imagerecords"}
	for result, answer := range map[string]error{
		metrics.ImageRecordRefused: apierrors.NewInvalid(kind, "x", nil), metrics.ImageRecordKnown: apierrors.NewAlreadyExists(resource, "x"),
	} {
		t.Run(result, func(t *testing.T) {
			c, count := creates(newFake(t), func(int64) error { return answer })
			store := NewStore(c, c, testclock.NewFakeClock(start))
			before := written(t, result)
			store.Keep(lis())
			run(t, store)
			eventually(t, "nothing waits", store.idle)
			if count.Load() != 1 || written(t, result) != before+1 || store.queue.NumRequeues(digest(1)) != 0 {
				t.Errorf("%d attempts, counted %v times", count.Load(), written(t, result)-before)
			}
		})
	}
}

func TestWhatTheAPICannotCarryIsCountedAndNotWritten(t *testing.T) {
	store := NewStore(newFake(t), nil, testclock.NewFakeClock(start))
	before := written(t, metrics.ImageRecordNotCarried)
	store.Keep(with(lis(), func(c *posture.Content) { c.Reference = "" }))
	if !store.idle() || written(t, metrics.ImageRecordNotCarried) != before+1 {
		t.Error("it waits to be written, or is not counted")
	}
}

func TestMoreThanCanWaitIsLeftOutAndDoesNotBlock(t *testing.T) {
	var count atomic.Int64
	c := interceptor.NewClient(newFake(t), interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
			count.Add(1)
			return nil // kept nowhere: a fake client takes seconds for thousands
		},
	})
	store := NewStore(c, c, testclock.NewFakeClock(start))
	before := written(t, metrics.ImageRecordQueueFull)
	for i := range maxWaiting + 3 {
		store.Keep(with(lis(), func(c *posture.Content) { c.Digest = digest(i) }))
	}
	if got := written(t, metrics.ImageRecordQueueFull) - before; got != 3 || len(store.waiting) != maxWaiting {
		t.Errorf("%v left out, %d wait", got, len(store.waiting))
	}
	store.Keep(with(lis(), func(c *posture.Content) { c.Digest = digest(0) }))
	if got := written(t, metrics.ImageRecordQueueFull) - before; got != 3 {
		t.Errorf("what waits already is counted as left out: %v", got)
	}
	run(t, store)
	eventually(t, "all that waited is written", func() bool { return store.idle() && count.Load() == maxWaiting })
	store.Keep(with(lis(), func(c *posture.Content) { c.Digest = digest(maxWaiting) }))
	eventually(t, "what was left out is written when it comes again", func() bool { return count.Load() == maxWaiting+1 })
}

func TestBeyondTheLimitNothingIsWrittenUntilThereIsRoom(t *testing.T) {
	var there atomic.Int64
	there.Store(MaxRecords - 1)
	counted, count := creates(interceptor.NewClient(newFake(t), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			records, isRecords := list.(*v1alpha1.ImageRecordList)
			if asked := (&client.ListOptions{}).ApplyOptions(options); !isRecords || asked.FieldSelector != nil {
				return c.List(ctx, list, options...)
			}
			if there.Load() < 0 {
				return errors.New("no cache")
			}
			records.Items = make([]v1alpha1.ImageRecord, there.Load())
			return nil
		},
	}), takes)
	passive := testclock.NewFakeClock(start)
	store := NewStore(counted, counted, passive)
	run(t, store)
	keep := func(number int) {
		store.Keep(with(lis(), func(c *posture.Content) { c.Digest = digest(number) }))
		eventually(t, "nothing waits", store.idle)
	}
	before := written(t, metrics.ImageRecordLimit)
	keep(10)
	keep(11)
	if count.Load() != 1 || written(t, metrics.ImageRecordLimit) != before+1 {
		t.Errorf("%d written where one has room, %v beyond the limit", count.Load(), written(t, metrics.ImageRecordLimit)-before)
	}
	there.Store(MaxRecords - 10)
	keep(12)
	if count.Load() != 1 {
		t.Error("the records are counted for each write")
	}
	passive.Step(countEvery)
	keep(13)
	if count.Load() != 2 {
		t.Error("room that has come is not seen")
	}
	there.Store(-1)
	passive.Step(countEvery)
	failed := written(t, metrics.ImageRecordFailed)
	store.Keep(with(lis(), func(c *posture.Content) { c.Digest = digest(14) }))
	eventually(t, "a count that fails is tried again", func() bool { return written(t, metrics.ImageRecordFailed) == failed+1 && passive.HasWaiters() })
	there.Store(1)
	eventually(t, "and succeeds", func() bool { passive.Step(time.Second); return store.idle() })
}
