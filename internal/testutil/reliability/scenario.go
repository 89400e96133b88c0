// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Scenario is one story that reconcilers must bring to one end, whatever
// happens on the way. Each trial of it has namespaces of its own.
type Scenario struct {
	// Name is a few words without slashes.
	Name string
	// Namespaces is how many a trial gets; zero means one.
	Namespaces int
	// Pods makes a trial wait until its namespaces accept bare pods.
	Pods bool
	// Serial forbids trials side by side: for reconcilers that read or write
	// across all namespaces or write cluster-scoped objects. Set Cleanup too.
	Serial bool

	// Arrange creates the input objects, before any reconciler runs.
	Arrange func(ctx context.Context, w *World) error
	// Disturb are later changes. Each is followed by convergence.
	Disturb []Step
	// New builds the reconcilers as a starting process does: nothing may survive
	// from an earlier call. All their I/O with the API goes through c, and their
	// clock is w.Clock.
	New func(w *World, c client.Client) []Controller
	// Snapshot reads what the end state consists of; see Kinds.
	Snapshot func(ctx context.Context, w *World) ([]client.Object, error)
	// Cleanup removes what a trial leaves outside its namespaces. Optional.
	Cleanup func(ctx context.Context, w *World) error

	// Await says whether controllers that are not under test (garbage
	// collection, cert-manager) have done their part. It is polled with the real
	// clock whenever the reconcilers rest; then they run again. Optional.
	Await func(ctx context.Context, w *World) (bool, error)
	// Always is what must hold after every single write, such as "no Secret in
	// use is deleted". Optional.
	Always func(ctx context.Context, w *World) error
	// Normalize edits an object of the end state, after the defaults have
	// replaced namespaces, UIDs, versions and times in status. Optional.
	Normalize func(object *unstructured.Unstructured)
	// FieldOwners are the field managers whose ownership is part of the end
	// state. Optional.
	FieldOwners []string
	// MayDelete allows deletions that the undisturbed run does not make. All
	// others are failures. Optional.
	MayDelete func(call Call) bool
	// MayIgnore allows a reconcile to neither return the error of this call nor
	// ask to run again. Optional.
	MayIgnore func(call Call) bool

	// Start is what w.Clock says at first; zero means now.
	Start time.Time
	// Soon is the longest RequeueAfter that still means "not done"; zero means
	// five seconds.
	Soon time.Duration
	// Looks is a RequeueAfter that does not mean "not done" although it is no longer
	// than Soon, unless a call has failed: a look around from time to time.
	Looks time.Duration
	// Elsewhere are the kinds of calls whose failures another scenario tries, in
	// which they come in the same place. Optional.
	Elsewhere func(verb Verb, kind string) bool
	// MaxPasses bounds convergence after each step; zero means 20.
	MaxPasses int
}

// Step is a change that somebody makes while the reconcilers run.
type Step struct {
	Name string
	Do   func(ctx context.Context, w *World) error
	// Anytime says that Do works in the middle of the convergence before it too,
	// which is then tried at each write.
	Anytime bool
}

// World is what belongs to one trial.
type World struct {
	// Namespace is the first of Namespaces.
	Namespace  string
	Namespaces []string
	// Admin reaches the API without faults and without being counted.
	Admin client.WithWatch
	// Clock moves only between passes.
	Clock *testclock.FakeClock
	// Phase is 0 after Arrange, n after the n-th step of Disturb.
	Phase int
}

// Controller is one reconciler and what a resync would enqueue for it.
type Controller struct {
	Name      string
	Reconcile reconcile.Func
	// Requests lists what exists now. An object that was there in an earlier pass
	// of the same process is reconciled once more when it is gone.
	Requests func(ctx context.Context, w *World) ([]reconcile.Request, error)
}

// Each gives a request for every object of list's kind in the trial's
// namespaces, or in the cluster if the kind has no namespaces.
func Each(list client.ObjectList) func(context.Context, *World) ([]reconcile.Request, error) {
	return func(ctx context.Context, w *World) ([]reconcile.Request, error) {
		objects, err := listAll(ctx, w, list)
		if err != nil {
			return nil, err
		}
		var requests []reconcile.Request
		for _, object := range objects {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)})
		}
		return requests, nil
	}
}

// EachNamespace gives a request named like each namespace of the trial.
func EachNamespace(_ context.Context, w *World) ([]reconcile.Request, error) {
	var requests []reconcile.Request
	for _, name := range w.Namespaces {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
	}
	return requests, nil
}

// Kinds is a Snapshot of all objects of these kinds in the trial's namespaces.
func Kinds(lists ...client.ObjectList) func(context.Context, *World) ([]client.Object, error) {
	return func(ctx context.Context, w *World) ([]client.Object, error) {
		var all []client.Object
		for _, list := range lists {
			objects, err := listAll(ctx, w, list)
			if err != nil {
				return nil, err
			}
			all = append(all, objects...)
		}
		return all, nil
	}
}

func listAll(ctx context.Context, w *World, list client.ObjectList) ([]client.Object, error) {
	namespaces := w.Namespaces
	if namespaced, err := w.Admin.IsObjectNamespaced(list); err != nil {
		return nil, fmt.Errorf("list %T: %w", list, err)
	} else if !namespaced {
		namespaces = []string{""}
	}
	var all []client.Object
	for _, namespace := range namespaces {
		page, ok := list.DeepCopyObject().(client.ObjectList)
		if !ok {
			return nil, fmt.Errorf("list %T: its copy is no list", list)
		}
		if err := w.Admin.List(ctx, page, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
		items, err := meta.ExtractList(page)
		if err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
		for _, item := range items {
			object, ok := item.(client.Object)
			if !ok {
				return nil, fmt.Errorf("list %T: %T is no object", list, item)
			}
			all = append(all, object)
		}
	}
	return all, nil
}

func (s Scenario) soon() time.Duration {
	if s.Soon > 0 {
		return s.Soon
	}
	return 5 * time.Second
}

func (s Scenario) maxPasses() int {
	if s.MaxPasses > 0 {
		return s.MaxPasses
	}
	return 20
}

func (s Scenario) namespaces() int { return max(s.Namespaces, 1) }

func (w *World) owns(namespace string) bool { return slices.Contains(w.Namespaces, namespace) }
