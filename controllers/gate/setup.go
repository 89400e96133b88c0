// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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
	"github.com/labguard/labguard/controllers/served"
)

// TheGate is the one request of this reconciler.
var TheGate = reconcile.Request{NamespacedName: types.NamespacedName{Name: "gate"}}

// SetupWithManager watches everything that the gate depends on. rotated announces a new authority.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager, rotated <-chan event.GenericEvent, kinds *served.Kinds) error {
	changed := make(chan event.GenericEvent, 1)
	kinds.OnChange(func(context.Context, schema.GroupKind) error {
		select {
		case changed <- event.GenericEvent{Object: &corev1.Namespace{}}:
		default: // one is waiting already
		}
		return nil
	})
	always := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{TheGate}
	})
	own := predicate.NewPredicateFuncs(func(object client.Object) bool { return object.GetName() == r.Namespace })
	anchor := predicate.NewPredicateFuncs(func(object client.Object) bool { return object.GetName() == AnchorName })
	return ctrl.NewControllerManagedBy(manager).Named("gate").
		Watches(&v1alpha1.LabWorkload{}, always, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.IdentityProvider{}, always, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.AirlockProfile{}, always, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.RolloutRecord{}, always, builder.WithPredicates(holding)).
		Watches(&corev1.Namespace{}, always, builder.WithPredicates(own)).
		Watches(&rbacv1.ClusterRole{}, always, builder.WithPredicates(anchor)).
		Watches(&admissionv1.MutatingWebhookConfiguration{}, always).
		Watches(&admissionv1.ValidatingWebhookConfiguration{}, always).
		Watches(&admissionv1.MutatingAdmissionPolicy{}, always).
		Watches(&admissionv1.MutatingAdmissionPolicyBinding{}, always).
		Watches(&admissionv1.ValidatingAdmissionPolicy{}, always).
		Watches(&admissionv1.ValidatingAdmissionPolicyBinding{}, always).
		WatchesRawSource(source.Channel(rotated, always)).
		WatchesRawSource(source.Channel(changed, always)).
		Complete(r)
}

// holding lets records of epochs through in whose namespace something begins to be held, or ceases to be.
var holding = predicate.Funcs{
	CreateFunc: func(e event.CreateEvent) bool { return holds(e.Object) },
	UpdateFunc: func(e event.UpdateEvent) bool { return holds(e.ObjectOld) != holds(e.ObjectNew) },
	DeleteFunc: func(e event.DeleteEvent) bool { return holds(e.Object) },
}

func holds(object client.Object) bool {
	record, isRecord := object.(*v1alpha1.RolloutRecord)
	return isRecord && record.Spec.Epoch != nil && record.Spec.Epoch.Held > 0
}
