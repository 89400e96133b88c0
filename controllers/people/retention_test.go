// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
)

func use(name string, last time.Time, acknowledged bool) *v1alpha1.BreakGlassUse {
	u := &v1alpha1.BreakGlassUse{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name},
		Spec:       v1alpha1.BreakGlassUseSpec{User: night, First: metav1.NewTime(last), Last: metav1.NewTime(last), Count: 1},
	}
	if acknowledged {
		u.Spec.Acknowledgement = &v1alpha1.BreakGlassAcknowledgement{By: "anna", Reason: "the LIS was down"}
	}
	return u
}

func TestAnAcknowledgedUseIsKeptForNinetyDaysFromWhenThatWasSeen(t *testing.T) {
	t.Parallel()
	longAgo := noon.Add(-365 * 24 * time.Hour)
	a, clock := apiWith(t, use("done", longAgo, true), use("open", longAgo, false)), testclock.NewFakeClock(noon)
	r := &Retention{Client: a, Clock: clock, Random: noJitter}
	key := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: "pathology", Name: name} }
	look := func(name string) ctrl.Result {
		t.Helper()
		result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: key(name)})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	there := func(name string) bool {
		return !apierrors.IsNotFound(a.Get(t.Context(), key(name), &v1alpha1.BreakGlassUse{}))
	}
	for range 2 { // the second look writes nothing
		if got := look("done").RequeueAfter.Truncate(time.Second); got != KeepAcknowledged {
			t.Errorf("looks again after %s", got)
		}
		if result := look("open"); result.RequeueAfter != 0 || len(a.written()) != 1 {
			t.Errorf("looks again after %s, written %v", result.RequeueAfter, a.written())
		}
	}
	clock.Step(KeepAcknowledged - time.Second)
	look("done")
	if !there("done") {
		t.Fatal("it is deleted before the 90 days are over")
	}
	clock.Step(time.Second)
	look("done")
	look("open")
	if there("done") || !there("open") {
		t.Errorf("after 90 days: acknowledged there: %t, open there: %t", there("done"), there("open"))
	}
	look("done")
}

func TestTheMetricCountsOpenUses(t *testing.T) {
	t.Parallel()
	gauge := func() float64 { return testutil.ToFloat64(metrics.BreakGlassOpen.WithLabelValues("cytology")) }
	var tally openTally
	first, second := client.ObjectKey{Namespace: "cytology", Name: "a"}, client.ObjectKey{Namespace: "cytology", Name: "b"}
	for _, step := range []struct {
		key  client.ObjectKey
		open bool
		want float64
	}{{first, true, 1}, {first, true, 1}, {second, true, 2}, {first, false, 1}, {first, false, 1}, {second, false, 0}} {
		tally.set(step.key, step.open)
		if gauge() != step.want {
			t.Errorf("after %+v the metric says %v", step, gauge())
		}
	}
}

func TestANoteThatNobodyCanHaveWrittenIsWrittenAnew(t *testing.T) {
	t.Parallel()
	for name, note := range map[string]string{"no time": "yesterday", "the future": noon.Add(time.Hour).Format(time.RFC3339)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noted := use("done", noon, true)
			noted.Annotations = map[string]string{AcknowledgedAnnotation: note}
			a := apiWith(t, noted)
			r := &Retention{Client: a, Clock: testclock.NewFakeClock(noon), Random: noJitter}
			if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(noted)}); err != nil {
				t.Fatal(err)
			}
			if err := a.Get(t.Context(), client.ObjectKeyFromObject(noted), noted); err != nil || noted.Annotations[AcknowledgedAnnotation] != noon.Format(time.RFC3339) {
				t.Errorf("noted is %v, %v", noted.Annotations, err)
			}
		})
	}
}
