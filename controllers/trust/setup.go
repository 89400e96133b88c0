// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
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

// TheTrust is the one request of this reconciler.
var TheTrust = reconcile.Request{NamespacedName: types.NamespacedName{Name: "trust"}}

// SetupWithManager watches what bundles are made from and the bundles themselves. notify registers a listener for airlocks that have something new to say. Whether
// the cluster serves ClusterTrustBundles is looked at in each reconcile; they are watched if it serves them now.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager, kinds *served.Kinds, notify func(func(workload types.NamespacedName))) error {
	changed := make(chan event.GenericEvent, 1)
	poke := func() {
		select {
		case changed <- event.GenericEvent{Object: &corev1.ConfigMap{}}:
		default: // one is waiting already
		}
	}
	notify(func(types.NamespacedName) { poke() })
	kinds.OnChange(func(_ context.Context, kind schema.GroupKind) error {
		if kind == served.Certificate {
			poke()
		}
		return nil
	})
	always := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request { return []reconcile.Request{TheTrust} })
	build := ctrl.NewControllerManagedBy(manager).Named("trust").
		Watches(&corev1.ConfigMap{}, always, builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
			return object.GetName() == v1alpha1.TrustConfigMap
		}))).
		Watches(&v1alpha1.AirlockProfile{}, always, builder.WithPredicates(comesAndGoes)).
		WatchesRawSource(source.Channel(changed, always))
	switch _, err := r.Mapper.RESTMapping(bundleKind, certificatesv1.SchemeGroupVersion.Version); {
	case err == nil:
		build = build.Watches(&certificatesv1.ClusterTrustBundle{}, always, builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
			return object.GetLabels()[v1alpha1.ManagedByLabel] == v1alpha1.ManagedByValue
		})))
	case !meta.IsNoMatchError(err):
		return err
	}
	// The first look: without it nothing happens where nothing exists yet.
	poke()
	return build.Complete(r)
}

// comesAndGoes lets through that an object is there, and that it is gone: a profile says no more than where sidecars are.
var comesAndGoes = predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
