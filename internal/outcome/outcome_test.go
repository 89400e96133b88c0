// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/outcome"
)

var (
	now      = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	resource = schema.GroupResource{Group: "labguard.dev", Resource: "labworkloads"}

	conflict    = fmt.Errorf("update: %w", apierrors.NewConflict(resource, "lis", errors.New("changed")))
	notFound    = fmt.Errorf("update: %w", apierrors.NewNotFound(resource, "lis"))
	internal    = fmt.Errorf("get: %w", apierrors.NewInternalError(errors.New("etcd")))
	noMatch     = fmt.Errorf("list: %w", &meta.NoKindMatchError{GroupKind: schema.GroupKind{Group: "cert-manager.io", Kind: "Certificate"}})
	notOurs     = fmt.Errorf("apply: %w", &apply.NotOursError{Object: "NetworkPolicy lis"})
	waiting     = &outcome.WaitingError{Reason: "Waiting", Message: "the issuer is not there"}
	soon        = &outcome.WaitingError{Reason: "Waiting", Message: "the authority is being made", After: outcome.Soon}
	terminal    = reconcile.TerminalError(errors.New("a selector that can never work"))
	terminating = &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "NamespaceTerminating"}}},
	}}
	other = errors.New("connection refused")
)

func TestEachErrorIsAnsweredByItsClass(t *testing.T) {
	tests := map[string]struct {
		err       error
		class     outcome.Class
		after     time.Duration
		backsOff  bool
		hasChange bool
	}{
		"no error waits for the next change":                          {nil, outcome.None, 0, false, true},
		"a conflict is tried again soon":                              {conflict, outcome.Conflict, 250 * time.Millisecond, false, false},
		"something missing is looked for in a minute":                 {waiting, outcome.Waiting, time.Minute, false, false},
		"something about to come is looked for soon":                  {soon, outcome.Waiting, outcome.Soon, false, false},
		"a kind that is not served is looked for in a minute":         {noMatch, outcome.Waiting, time.Minute, false, false},
		"an object of somebody else is looked at in a minute":         {notOurs, outcome.Waiting, time.Minute, false, false},
		"what can never work is not tried again":                      {terminal, outcome.Terminal, 0, true, false},
		"what can never work is that also when it is wrapped":         {fmt.Errorf("lis: %w", terminal), outcome.Terminal, 0, true, false},
		"a namespace that is going takes its objects along":           {terminating, outcome.Gone, 0, false, true},
		"an error of the API server backs off":                        {internal, outcome.Transient, 0, true, false},
		"an object that is not found may be a kind that was removed":  {notFound, outcome.Transient, 0, true, false},
		"any other error backs off":                                   {other, outcome.Transient, 0, true, false},
		"of joined errors a transient one does not wait for a minute": {errors.Join(noMatch, internal), outcome.Transient, 0, true, false},
		"in whatever order they are joined":                           {errors.Join(internal, waiting), outcome.Transient, 0, true, false},
		"nor hides behind a conflict":                                 {errors.Join(conflict, other), outcome.Transient, 0, true, false},
		"a conflict beside something missing comes first":             {errors.Join(waiting, conflict), outcome.Conflict, 250 * time.Millisecond, false, false},
		"what can never work beside something missing is waited for":  {errors.Join(terminal, soon), outcome.Waiting, outcome.Soon, false, false},
		"wrapped and joined again it is the same":                     {fmt.Errorf("lis: %w", errors.Join(nil, errors.Join(waiting, other))), outcome.Transient, 0, true, false},
		"one error that is joined with none is itself":                {errors.Join(nil, waiting, nil), outcome.Waiting, time.Minute, false, false},
	}
	half := func() float64 { return 0.5 }
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := outcome.Classify(test.err); got != test.class {
				t.Errorf("class is %d, want %d", got, test.class)
			}
			result, err := outcome.Result(test.err, now.Add(time.Hour), now, half)
			want := test.after
			if test.hasChange {
				want = time.Hour + 30*time.Second + time.Millisecond
			}
			if result.RequeueAfter != want || (err != nil) != test.backsOff {
				t.Errorf("requeued after %s with error %v, want %s and an error: %t", result.RequeueAfter, err, want, test.backsOff)
			}
			if test.backsOff && !errors.Is(err, test.err) {
				t.Errorf("returned %v instead of %v", err, test.err)
			}
		})
	}
}

func TestTheNextChangeIsSpreadOverAMinute(t *testing.T) {
	tests := map[string]struct {
		next   time.Time
		random float64
		want   time.Duration
	}{
		"never":                          {time.Time{}, 0.5, 0},
		"not before it comes":            {now.Add(time.Hour), 0, time.Hour + time.Millisecond},
		"at most a minute later":         {now.Add(time.Hour), 0.999, time.Hour + 59940*time.Millisecond + time.Millisecond},
		"at once if it is past":          {now.Add(-time.Hour), 0, time.Millisecond},
		"not at once for all that is so": {now, 0.25, 15*time.Second + time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			result, err := outcome.Result(nil, test.next, now, func() float64 { return test.random })
			if err != nil || result.RequeueAfter != test.want {
				t.Errorf("got %s, %v; want %s", result.RequeueAfter, err, test.want)
			}
		})
	}
}

// Ten thousand workloads with one base image change at the same instant.
func TestManyThatChangeAtOneInstantAreLookedAtAboutEvenlyOverAMinute(t *testing.T) {
	const (
		objects, slices = 10_000, 20
		fair            = objects / slices
	)
	random := rand.New(rand.NewPCG(1, 2))
	next := now.Add(time.Hour)
	var counted [slices]int
	for range objects {
		result, err := outcome.Result(nil, next, now, random.Float64)
		if err != nil {
			t.Fatal(err)
		}
		late := now.Add(result.RequeueAfter).Sub(next)
		if late <= 0 || late > time.Minute+time.Millisecond {
			t.Fatalf("looked at %s after the change", late)
		}
		counted[min(int(late/(time.Minute/slices)), slices-1)]++
	}
	for i, count := range counted {
		if count < fair*3/4 || count > fair*5/4 {
			t.Errorf("%d of %d in slice %d, want about %d: %v", count, objects, i, fair, counted)
		}
	}
}

func TestTheMessageOfAWaitingErrorIsForAPerson(t *testing.T) {
	if got := waiting.Error(); got != "the issuer is not there" {
		t.Errorf("got %q", got)
	}
}
