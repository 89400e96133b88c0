// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/template"
)

// factsBuffer is how many namespaces may wait to be looked at because facts have arrived; beyond it their own time wakes them.
const factsBuffer = 1024

// SetupWithManager watches what decides about held rollouts. notify registers a listener for facts about images that have arrived.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager, notify func(func(reference string))) error {
	inNamespace := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: object.GetNamespace()}}}
	})
	whereHeld := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
		if !r.waiting.holds(object.GetNamespace()) {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: object.GetNamespace()}}}
	})
	named := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: object.GetName()}}}
	})
	build := ctrl.NewControllerManagedBy(manager).Named("hold").
		Watches(&corev1.Namespace{}, named, builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&v1alpha1.LabWorkload{}, inNamespace, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.RolloutRecord{}, whereHeld)
	for _, object := range []client.Object{
		&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{}, &batchv1.Job{}, &batchv1.CronJob{}, &corev1.Pod{},
	} {
		build = build.Watches(object, inNamespace, builder.WithPredicates(isOrWasHeld))
	}
	return build.WatchesRawSource(r.factEvents(notify)).Complete(r)
}

// isOrWasHeld lets objects through that are held, and changes of those that were. Every object passes by when labguard starts, so that holds of before
// are found.
var isOrWasHeld = predicate.Funcs{
	CreateFunc:  func(e event.CreateEvent) bool { return concerned(e.Object) },
	DeleteFunc:  func(e event.DeleteEvent) bool { return concerned(e.Object) },
	UpdateFunc:  func(e event.UpdateEvent) bool { return concerned(e.ObjectOld) || concerned(e.ObjectNew) },
	GenericFunc: func(e event.GenericEvent) bool { return concerned(e.Object) },
}

func concerned(object client.Object) bool {
	root, known := template.FromObject(object)
	return known && (root.Held() || root.Template.Gated)
}

// factEvents wake the namespaces that wait for an image.
func (r *Reconciler) factEvents(notify func(func(reference string))) source.Source {
	arrived := make(chan event.TypedGenericEvent[string], factsBuffer)
	notify(func(reference string) {
		for _, namespace := range r.waiting.of(reference) {
			select {
			case arrived <- event.TypedGenericEvent[string]{Object: namespace}:
			default: // it looks again in its own time
			}
		}
	})
	return source.Channel(arrived, handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, namespace string) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: namespace}}}
	}))
}

// waiting remembers what each namespace holds, and for which images that waits.
type waiting struct {
	lock sync.Mutex
	all  map[string]*waited
}

type waited struct {
	references []string
	roots      map[types.UID]bool
}

// begins notes that a root is held. It is false if that was known.
func (w *waiting) begins(namespace string, root types.UID) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	known := w.at(namespace).roots[root]
	w.at(namespace).roots[root] = true
	return !known
}

// set notes the images that a namespace waits for.
func (w *waiting) set(namespace string, references []string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.at(namespace).references = references
}

// at is what is remembered of a namespace. The caller holds the lock.
func (w *waiting) at(namespace string) *waited {
	if w.all == nil {
		w.all = map[string]*waited{}
	}
	if w.all[namespace] == nil {
		w.all[namespace] = &waited{roots: map[types.UID]bool{}}
	}
	return w.all[namespace]
}

// forget drops a namespace that holds nothing.
func (w *waiting) forget(namespace string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	delete(w.all, namespace)
}

func (w *waiting) holds(namespace string) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.all[namespace] != nil
}

// of are the namespaces that wait for an image.
func (w *waiting) of(reference string) []string {
	w.lock.Lock()
	defer w.lock.Unlock()
	var namespaces []string
	for namespace, one := range w.all {
		if slices.Contains(one.references, reference) {
			namespaces = append(namespaces, namespace)
		}
	}
	return namespaces
}
