// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"context"
	"maps"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/controllers/served"
)

// SetupWithManager watches what fills the books of a namespace.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager, kinds *served.Kinds) error {
	build := ctrl.NewControllerManagedBy(manager).Named("enforcement").
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(byName), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&v1alpha1.LabWorkload{}, handler.EnqueueRequestsFromMapFunc(byNamespace), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.RolloutRecord{}, handler.EnqueueRequestsFromMapFunc(byNamespace)).
		Watches(&admissionv1.ValidatingWebhookConfiguration{}, r.configurationEvents())
	roots := []client.Object{
		&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{}, &appsv1.ReplicaSet{},
		&corev1.ReplicationController{}, &batchv1.Job{}, &batchv1.CronJob{}, &corev1.Pod{},
	}
	for _, root := range roots {
		build = build.Watches(root, handler.EnqueueRequestsFromMapFunc(byNamespace), builder.WithPredicates(fillsBooks))
	}
	built, err := build.Build(r)
	if err != nil {
		return err
	}
	kinds.OnChange(func(_ context.Context, kind schema.GroupKind) error {
		return r.watchRollouts(manager, built, kinds, kind)
	})
	return nil
}

// watchRollouts begins to watch Argo Rollouts once they are served.
func (r *Reconciler) watchRollouts(manager ctrl.Manager, built controller.Controller, kinds *served.Kinds, kind schema.GroupKind) error {
	if kind != inventory.ArgoRollout.GroupKind() || !kinds.Serves(kind) {
		return nil
	}
	rollout := &unstructured.Unstructured{}
	rollout.SetGroupVersionKind(inventory.ArgoRollout)
	return built.Watch(source.Kind[client.Object](manager.GetCache(), rollout, handler.EnqueueRequestsFromMapFunc(byNamespace), fillsBooks))
}

// fillsBooks lets through what may change the books: objects that no controller owns, and ReplicaSets, whose templates a rollback returns to.
// Status and scale change nothing.
var fillsBooks = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || (e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil) ||
			e.ObjectOld.GetAnnotations()[v1alpha1.AdmissionsAnnotation] != e.ObjectNew.GetAnnotations()[v1alpha1.AdmissionsAnnotation] ||
			e.ObjectOld.GetAnnotations()[v1alpha1.HoldAnnotation] != e.ObjectNew.GetAnnotations()[v1alpha1.HoldAnnotation] ||
			len(e.ObjectOld.GetOwnerReferences()) != len(e.ObjectNew.GetOwnerReferences()) || !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
	},
}

func byNamespace(_ context.Context, object client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: object.GetNamespace()}}}
}

func byName(_ context.Context, object client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: object.GetName()}}}
}

// configurationEvents wake the namespaces whose gate has changed: those that are listed from now on and have not been proven, and those that are not
// listed any more, whose proof is to be taken back. The others are proven anew in their own time.
func (r *Reconciler) configurationEvents() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	wake := func(q queue, names []string) {
		for _, name := range names {
			q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
		}
	}
	unproven := func(name string) bool { return r.proofs.due(name).IsZero() }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { wake(q, picked(listedIn(e.Object), unproven)) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			now := listedIn(e.ObjectNew)
			wake(q, picked(now, unproven))
			wake(q, picked(listedIn(e.ObjectOld), func(name string) bool { return !slices.Contains(now, name) }))
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { wake(q, listedIn(e.Object)) },
	}
}

func listedIn(object client.Object) []string {
	configuration, isConfiguration := object.(*admissionv1.ValidatingWebhookConfiguration)
	if !isConfiguration {
		return nil
	}
	return inventory.ListedNamespaces(configuration)
}

func picked(names []string, pick func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !pick(name) })
}
