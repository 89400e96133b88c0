// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

// hindered is a reader that can be kept from reading.
type hindered struct {
	client.Reader

	hindered atomic.Bool
}

func (h *hindered) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	if h.hindered.Load() {
		return errors.New("the API server does not answer")
	}
	return h.Reader.List(ctx, list, options...)
}

// aged runs a test with a search for rights whose API server and cache have the same at first, in a time that passes by itself.
func aged(t *testing.T, test func(t *testing.T, r *Rights, server *hindered, there *api, told *atomic.Int32)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		objects := func() []client.Object {
			return []client.Object{clusterRole("proxy", nodesProxy), bound("proxy", "mallory")}
		}
		there, told := apiWith(t, objects()...), &atomic.Int32{}
		all := &rbac{FakeInformers: &informertest.FakeInformers{Scheme: newScheme(t)}, objects: apiWith(t, objects()...), started: make(chan struct{})}
		r, server := NewRights(apiWith(t, asks("pathology", &v1alpha1.MFASpec{})), all, RightsConfig{}, clock.RealClock{}), &hindered{Reader: there}
		r.live = server
		r.Notify(func() { told.Add(1) })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Start(ctx) }()
		synctest.Wait()
		if report, known := r.Report(); !known || !slices.Contains(found(report), "NodesProxy mallory") {
			t.Errorf("at the beginning: %v, %t", found(report), known)
		}
		told.Store(0)
		test(t, r, server, there, told)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// after lets time pass, and says whether the report counts then.
func after(length time.Duration, r *Rights) bool {
	<-time.After(length) // in a bubble: it takes no time
	synctest.Wait()
	report, known := r.Report()
	return known && len(report.Findings) > 0
}

func TestAReportCountsAsLongAsTheCacheHasWhatTheAPIServerHas(t *testing.T) {
	t.Parallel()
	aged(t, func(t *testing.T, r *Rights, _ *hindered, _ *api, told *atomic.Int32) {
		for hour := range 48 {
			if !after(time.Hour, r) {
				t.Fatalf("after %d hours it does not count", hour+1)
			}
		}
		if told.Load() != 0 {
			t.Errorf("told %d times without news", told.Load())
		}
	})
}

func TestAReportDoesNotCountOnceTheWatchHasDied(t *testing.T) {
	t.Parallel()
	aged(t, func(t *testing.T, r *Rights, _ *hindered, there *api, told *atomic.Int32) {
		late := bound("proxy", "eve") // of which no event comes
		if err := there.Create(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		if !after(RightsLast-time.Second, r) || told.Load() != 0 {
			t.Errorf("it does not count too early, or told %d times", told.Load())
		}
		if after(time.Second, r) {
			t.Error("it counts for too long")
		}
		if after(compareAgain, r) || told.Load() != 1 {
			t.Errorf("told %d times that it does not count", told.Load())
		}
		if err := there.Delete(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		if !after(compareAgain, r) || told.Load() != 2 {
			t.Errorf("it does not count again, or told %d times", told.Load())
		}
	})
}

func TestAChangedRoleThatNobodyTellsOfIsADifference(t *testing.T) {
	t.Parallel()
	aged(t, func(t *testing.T, r *Rights, _ *hindered, there *api, _ *atomic.Int32) {
		role := clusterRole("proxy")
		if err := there.Get(t.Context(), client.ObjectKeyFromObject(role), role); err != nil {
			t.Fatal(err)
		}
		role.Rules[0].Verbs = []string{"*"}
		if err := there.Update(t.Context(), role); err != nil {
			t.Fatal(err)
		}
		if after(RightsLast, r) {
			t.Error("it counts")
		}
	})
}

func TestAReportDoesNotCountWhereTheAPIServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	aged(t, func(t *testing.T, r *Rights, server *hindered, _ *api, told *atomic.Int32) {
		server.hindered.Store(true)
		if after(RightsLast+compareAgain, r) || told.Load() != 1 {
			t.Errorf("it counts, or told %d times", told.Load())
		}
		server.hindered.Store(false)
		if !after(compareAgain, r) || told.Load() != 2 {
			t.Errorf("it does not count again, or told %d times", told.Load())
		}
	})
}
