// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
)

const night = "night-1"

func exec(at time.Time) v1alpha1.BreakGlassRequest {
	return v1alpha1.BreakGlassRequest{At: metav1.NewTime(at), Operation: "CONNECT", Resource: "pods/exec", Name: "lis-0"}
}

func usesOf(a *api, events *told) *Uses {
	return NewUses(a, a, events, testclock.NewFakeClock(noon), "labguard-system")
}

// flush writes what waits of one user.
func flush(t *testing.T, u *Uses, namespace, user string) {
	t.Helper()
	at := place{namespace: namespace, user: user}
	u.work(t.Context(), at)
	if _, waits := u.waiting[at]; waits {
		t.Fatalf("what %s did in %s still waits", user, namespace)
	}
}

func recorded(t *testing.T, a *api, namespace string) []v1alpha1.BreakGlassUse {
	t.Helper()
	var list v1alpha1.BreakGlassUseList
	if err := a.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func acknowledge(t *testing.T, a *api, use *v1alpha1.BreakGlassUse) {
	t.Helper()
	use.Spec.Acknowledgement = &v1alpha1.BreakGlassAcknowledgement{By: "anna", Reason: "the LIS was down"}
	if err := a.WithWatch.Update(t.Context(), use); err != nil {
		t.Fatal(err)
	}
}

func TestOneOpenUseForEachUserAndNamespace(t *testing.T) {
	t.Parallel()
	a, events := apiWith(t), &told{}
	u := usesOf(a, events)
	u.Used("pathology", night, exec(noon))
	u.Used("pathology", night, exec(noon.Add(time.Second)))
	flush(t, u, "pathology", night)
	u.Used("pathology", night, exec(noon.Add(time.Hour)))
	u.Used("pathology", "night-2", exec(noon))
	u.Used("radiology", night, exec(noon))
	u.Used("", night, exec(noon)) // an IdentityProvider, say
	for _, at := range []place{{"pathology", night}, {"pathology", "night-2"}, {"radiology", night}, {"labguard-system", night}} {
		flush(t, u, at.namespace, at.user)
	}
	var got []string
	for _, namespace := range []string{"labguard-system", "pathology", "radiology"} {
		for _, use := range recorded(t, a, namespace) {
			got = append(got, fmt.Sprintf("%s %s %d %s", namespace, use.Spec.User, use.Spec.Count, use.Spec.Last.Sub(use.Spec.First.Time)))
			if use.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedByValue {
				t.Errorf("%s has the labels %v", use.Name, use.Labels)
			}
		}
	}
	slices.Sort(got)
	want := []string{"labguard-system night-1 1 0s", "pathology night-1 3 1h0m0s", "pathology night-2 1 0s", "radiology night-1 1 0s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if told := events.all(); len(told) != 4 || !strings.Contains(told[0], "Warning BreakGlassOpen break glass was used by night-1") {
		t.Errorf("told %v", told)
	}
}

func TestAUseAfterTheAcknowledgementIsANewOne(t *testing.T) {
	t.Parallel()
	a := apiWith(t)
	u := usesOf(a, &told{})
	for i := range 3 {
		at := noon.Add(time.Duration(i) * time.Second) // within one hour
		u.Used("pathology", night, exec(at))
		flush(t, u, "pathology", night)
		uses := recorded(t, a, "pathology")
		open := slices.DeleteFunc(uses, func(use v1alpha1.BreakGlassUse) bool { return use.Spec.Acknowledgement != nil })
		if len(open) != 1 || open[0].Spec.Count != 1 || !open[0].Spec.First.Time.Equal(at) {
			t.Fatalf("use %d: open are %+v", i, open)
		}
		acknowledge(t, a, &open[0])
	}
	if all := recorded(t, a, "pathology"); len(all) != 3 {
		t.Errorf("%d uses are recorded", len(all))
	}
}

func TestAUseListsTheFirstTwentyRequestsAndCountsAll(t *testing.T) {
	t.Parallel()
	a := apiWith(t)
	u := usesOf(a, &told{})
	for i := range 70 {
		u.Used("pathology", night, exec(noon.Add(time.Duration(i)*time.Second)))
		if i%15 == 0 {
			flush(t, u, "pathology", night)
		}
	}
	flush(t, u, "pathology", night)
	spec := recorded(t, a, "pathology")[0].Spec
	if spec.Count != 70 || len(spec.Requests) != maxRequests || !spec.First.Time.Equal(noon) || !spec.Last.Time.Equal(noon.Add(69*time.Second)) {
		t.Errorf("got %+v", spec)
	}
	for i, request := range spec.Requests {
		if !request.At.Time.Equal(noon.Add(time.Duration(i) * time.Second)) {
			t.Errorf("request %d is of %s", i, request.At)
		}
	}
}

func TestTwoReplicasThatSeeOneUserOpenOneUse(t *testing.T) {
	t.Parallel()
	a := apiWith(t)
	first, second := usesOf(a, &told{}), usesOf(a, &told{})
	// The second has listed before the first has written: its write meets the object of the first.
	first.Used("pathology", night, exec(noon))
	second.Used("pathology", night, exec(noon.Add(time.Second)))
	flush(t, first, "pathology", night)
	if err := second.open(t.Context(), place{"pathology", night}, "", second.waiting[place{"pathology", night}]); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("opens a second one: %v", err)
	}
	flush(t, second, "pathology", night)
	if uses := recorded(t, a, "pathology"); len(uses) != 1 || uses[0].Spec.Count != 2 || len(uses[0].Spec.Requests) != 2 {
		t.Errorf("got %+v", uses)
	}
}

func TestAUseThatCannotBeWrittenWaitsWithThoseThatFollow(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "breakglassuses"}, "x", nil)
	for name, trouble := range map[string]error{"a hitch": errors.New("a hitch"), "somebody acknowledges": conflict} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := apiWith(t)
			u, at := usesOf(a, &told{}), place{"pathology", night}
			u.Used("pathology", night, exec(noon))
			flush(t, u, "pathology", night)
			a.refuse = []error{trouble}
			u.Used("pathology", night, exec(noon.Add(time.Second)))
			u.work(t.Context(), at)
			u.Used("pathology", night, exec(noon.Add(2*time.Second)))
			if got := u.waiting[at]; got.count != 2 || !got.first.Equal(noon.Add(time.Second)) || !got.last.Equal(noon.Add(2*time.Second)) {
				t.Errorf("what waits is %+v", got)
			}
			flush(t, u, "pathology", night)
			if uses := recorded(t, a, "pathology"); len(uses) != 1 || uses[0].Spec.Count != 3 {
				t.Errorf("got %+v", uses)
			}
		})
	}
}

func TestAUseInANamespaceThatGoesIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	a := apiWith(t)
	a.refuse = []error{apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "pathology")}
	u := usesOf(a, &told{})
	u.Used("pathology", night, exec(noon))
	flush(t, u, "pathology", night)
}

// TestANamespaceIsNotFilledWithUses: more than maxOpen say nothing new, and whoever is acknowledged makes room.
func TestANamespaceIsNotFilledWithUses(t *testing.T) {
	t.Parallel()
	a := apiWith(t)
	u := usesOf(a, &told{})
	use := func(user string) {
		u.Used("pathology", user, exec(noon))
		flush(t, u, "pathology", user)
	}
	for i := range maxOpen + 5 {
		use(fmt.Sprintf("night-%d", i))
	}
	use("night-0") // its use is open
	uses := recorded(t, a, "pathology")
	if len(uses) != maxOpen {
		t.Fatalf("%d uses", len(uses))
	}
	first := slices.IndexFunc(uses, func(use v1alpha1.BreakGlassUse) bool { return use.Spec.User == "night-0" })
	if first < 0 || uses[first].Spec.Count != 2 {
		t.Errorf("what night-0 does is not counted any more: %+v", uses)
	}
	acknowledge(t, a, &uses[0])
	use("late")
	if uses := recorded(t, a, "pathology"); len(uses) != maxOpen+1 {
		t.Errorf("%d uses after one was acknowledged", len(uses))
	}
}

func TestUsedNeitherBlocksNorGrows(t *testing.T) {
	t.Parallel()
	u := usesOf(nil, nil) // nobody takes anything out of the queue
	before := testutil.ToFloat64(metrics.BreakGlassRequests.WithLabelValues("flood"))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 2 * maxPlaces {
				u.Used("flood", fmt.Sprintf("night-%d", i), exec(noon))
			}
		})
	}
	all.Wait()
	if len(u.waiting) != maxPlaces {
		t.Errorf("%d users wait", len(u.waiting))
	}
	for at, waiting := range u.waiting {
		if waiting.count != 4 || len(waiting.requests) != 4 {
			t.Fatalf("of %s wait %+v", at.user, waiting)
		}
	}
	if got := testutil.ToFloat64(metrics.BreakGlassRequests.WithLabelValues("flood")) - before; got != 8*maxPlaces {
		t.Errorf("the metric counts %v", got)
	}
}

func TestWhatWaitsIsWrittenWhenTheProcessEnds(t *testing.T) {
	t.Parallel()
	a := apiWith(t)
	clock := testclock.NewFakeClock(noon)
	u := NewUses(a, a, &told{}, clock, "labguard-system")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- u.Start(ctx) }()
	u.Used("pathology", night, exec(noon))
	for deadline := time.Now().Add(20 * time.Second); len(recorded(t, a, "pathology")) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the first request is not written at once")
		}
	}
	u.Used("pathology", night, exec(noon.Add(time.Second))) // less than five seconds later: it waits, and the clock stands still
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if uses := recorded(t, a, "pathology"); len(uses) != 1 || uses[0].Spec.Count != 2 {
		t.Errorf("got %+v", uses)
	}
}

func TestRequestsInAnyOrderSpanTheirWholeTime(t *testing.T) {
	t.Parallel()
	early, late := one(exec(noon)), one(exec(noon.Add(time.Hour)))
	for name, both := range map[string]gathered{"early first": early.and(late), "late first": late.and(early)} {
		if both.count != 2 || !both.first.Equal(noon) || !both.last.Equal(noon.Add(time.Hour)) || len(both.requests) != 2 {
			t.Errorf("%s: %+v", name, both)
		}
	}
	if diff := cmp.Diff(early, gathered{}.and(early), cmp.AllowUnexported(gathered{})); diff != "" {
		t.Error(diff)
	}
}
