// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"fmt"
	"slices"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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
	"github.com/labguard/labguard/internal/desired"
)

const (
	// gatherFor is how long events about pods are gathered before their namespace is looked at: a rollout is many of them.
	gatherFor = time.Second
	// factsBuffer is how many arrived facts may wait; beyond it the next look finds them all the same.
	factsBuffer = 4096
	workers     = 4
)

// SetupWithManager watches what decides about a LabWorkload. notify registers a listener for facts about images that have arrived.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager, kinds *served.Kinds, notify func(func(reference string))) error {
	inNamespace := handler.EnqueueRequestsFromMapFunc(r.inNamespace)
	specs := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	build := ctrl.NewControllerManagedBy(manager).Named("labworkload").
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		For(&v1alpha1.LabWorkload{}, specs).
		Watches(&v1alpha1.LabWorkload{}, handler.EnqueueRequestsFromMapFunc(r.namedBy), specs).
		Watches(&v1alpha1.RolloutRecord{}, inNamespace).
		Watches(&networkingv1.NetworkPolicy{}, inNamespace).
		Watches(&networkingv1.Ingress{}, inNamespace, specs).
		Watches(&corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.byService)).
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(r.byEndpoints)).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.ofNamespace), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&corev1.Pod{}, r.podEvents()).
		Watches(&v1alpha1.AirlockProfile{}, handler.EnqueueRequestsFromMapFunc(r.byProfile)).
		Watches(&corev1.ConfigMap{}, inNamespace).
		Watches(&corev1.Node{}, r.nodeEvents()).
		Watches(&v1alpha1.BreakGlassUse{}, inNamespace, specs).
		Watches(&v1alpha1.IdentityProvider{}, handler.EnqueueRequestsFromMapFunc(r.askingForLogins), builder.WithPredicates(providerNews)).
		Watches(&admissionv1.ValidatingWebhookConfiguration{}, handler.EnqueueRequestsFromMapFunc(r.askingPeople), specs)
	templates := []client.Object{
		&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{}, &corev1.ReplicationController{}, &batchv1.Job{}, &batchv1.CronJob{},
	}
	for _, object := range templates {
		build = build.Watches(object, inNamespace, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})))
	}
	changed := make(chan event.GenericEvent, 1)
	everyone := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		return r.list(ctx, "", func(*v1alpha1.LabWorkload) bool { return true })
	})
	for _, raw := range []source.Source{r.factEvents(notify), source.Channel(changed, everyone), r.beats(), r.airlockEvents(), r.peopleEvents()} {
		build = build.WatchesRawSource(raw)
	}
	built, err := build.Build(r)
	if err != nil {
		return err
	}
	watched := map[schema.GroupKind]bool{}
	kinds.OnChange(func(ctx context.Context, kind schema.GroupKind) error {
		if err := r.kindChanged(ctx, manager, built, watched, kind); err != nil {
			return err
		}
		select {
		case changed <- event.GenericEvent{Object: &v1alpha1.LabWorkload{}}:
		default: // one is waiting already
		}
		return nil
	})
	return nil
}

// kindChanged watches Certificates and Rollouts while they are served. What is remembered of Certificates goes with their kind: after it has come
// back nothing of before is true. It is called for one kind at a time.
func (r *Reconciler) kindChanged(
	ctx context.Context, manager ctrl.Manager, built controller.Controller, watched map[schema.GroupKind]bool, kind schema.GroupKind,
) error {
	var object client.Object
	switch kind {
	case served.Certificate:
		object = &certmanagerv1.Certificate{}
	case inventory.ArgoRollout.GroupKind():
		rollout := &unstructured.Unstructured{}
		rollout.SetGroupVersionKind(inventory.ArgoRollout)
		object = rollout
	default:
		return nil
	}
	switch serves := r.Served.Serves(kind); {
	case serves && !watched[kind]:
		all := handler.TypedEnqueueRequestsFromMapFunc[client.Object](r.inNamespace)
		if err := built.Watch(source.Kind(manager.GetCache(), object, all)); err != nil {
			return fmt.Errorf("watch %s: %w", kind, err)
		}
		watched[kind] = true
	case !serves && watched[kind] && kind == served.Certificate:
		if err := manager.GetCache().RemoveInformer(ctx, object); err != nil {
			return fmt.Errorf("stop watching %s: %w", kind, err)
		}
		delete(watched, kind)
	default:
	}
	return nil
}

// podEvents gather: what changes for a pod after it has an address and images is not looked at.
func (r *Reconciler) podEvents() handler.EventHandler {
	enqueue := func(ctx context.Context, object client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, request := range r.inNamespace(ctx, object) {
			queue.AddAfter(request, gatherFor)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(ctx, e.Object, queue)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if podChanged(e.ObjectOld, e.ObjectNew) {
				enqueue(ctx, e.ObjectNew, queue)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(ctx, e.Object, queue)
		},
	}
}

func (r *Reconciler) factEvents(notify func(func(reference string))) source.Source {
	arrived := make(chan event.TypedGenericEvent[string], factsBuffer)
	notify(func(reference string) {
		select {
		case arrived <- event.TypedGenericEvent[string]{Object: reference}:
		default: // the next look finds the facts all the same
		}
	})
	return source.Channel(arrived, handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, reference string) []reconcile.Request {
		return requests(r.waiting.of(reference))
	}))
}

// inNamespace are all LabWorkloads of an object's namespace.
func (r *Reconciler) inNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return r.list(ctx, object.GetNamespace(), func(*v1alpha1.LabWorkload) bool { return true })
}

func (r *Reconciler) ofNamespace(ctx context.Context, object client.Object) []reconcile.Request {
	return r.list(ctx, object.GetName(), func(*v1alpha1.LabWorkload) bool { return true })
}

// namedBy are the other LabWorkloads that a change of one concerns: its namespace, and those elsewhere that name it.
func (r *Reconciler) namedBy(ctx context.Context, object client.Object) []reconcile.Request {
	key := client.ObjectKeyFromObject(object)
	return r.list(ctx, "", func(other *v1alpha1.LabWorkload) bool {
		return other.Namespace == key.Namespace || slices.Contains(desired.References(other), key)
	})
}

// byService are the LabWorkloads of a Service's namespace, and all of them for the Services that every policy depends on.
func (r *Reconciler) byService(ctx context.Context, object client.Object) []reconcile.Request {
	key := client.ObjectKeyFromObject(object)
	if key == r.dnsService() || key == kubernetesService {
		return r.list(ctx, "", restrictsEgress)
	}
	return r.list(ctx, "", func(other *v1alpha1.LabWorkload) bool {
		return other.Namespace == key.Namespace || dependsOn(other, key.Namespace)
	})
}

// dependsOn says whether a LabWorkload with a sidecar names one of another namespace, whose Services its sidecar stands for.
func dependsOn(workload *v1alpha1.LabWorkload, namespace string) bool {
	return desired.Sidecar(workload) != nil &&
		slices.ContainsFunc(desired.References(workload), func(key types.NamespacedName) bool { return key.Namespace == namespace })
}

// byProfile are the LabWorkloads that the stage or the ports of a sidecar concern.
func (r *Reconciler) byProfile(ctx context.Context, object client.Object) []reconcile.Request {
	profile, isProfile := object.(*v1alpha1.AirlockProfile)
	if !isProfile {
		return nil
	}
	named := types.NamespacedName{Namespace: profile.Namespace, Name: profile.Spec.LabWorkload}
	return r.list(ctx, "", func(other *v1alpha1.LabWorkload) bool {
		return other.Namespace == named.Namespace || slices.Contains(desired.References(other), named)
	})
}

// airlockEvents are the LabWorkloads of which something new is known.
func (r *Reconciler) airlockEvents() source.Source {
	news := make(chan event.TypedGenericEvent[types.NamespacedName], factsBuffer)
	if tells, can := r.Airlocks.(AirlockEvents); can {
		tells.Notify(func(workload types.NamespacedName) {
			select {
			case news <- event.TypedGenericEvent[types.NamespacedName]{Object: workload}:
			default: // the next look finds it all the same
			}
		})
	}
	return source.Channel(news, handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, workload types.NamespacedName) []reconcile.Request {
		return requests([]client.ObjectKey{workload})
	}))
}

func (r *Reconciler) byEndpoints(ctx context.Context, object client.Object) []reconcile.Request {
	if object.GetNamespace() != kubernetesService.Namespace || object.GetLabels()[discoveryv1.LabelServiceName] != kubernetesService.Name {
		return nil
	}
	return r.list(ctx, "", restrictsEgress)
}

func restrictsEgress(workload *v1alpha1.LabWorkload) bool {
	return workload.Spec.Network != nil && workload.Spec.Network.Egress != nil
}

// list are the LabWorkloads of a namespace (empty: of all) that a question picks.
func (r *Reconciler) list(ctx context.Context, namespace string, pick func(*v1alpha1.LabWorkload) bool) []reconcile.Request {
	var workloads v1alpha1.LabWorkloadList
	if err := r.List(ctx, &workloads, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list LabWorkloads", "namespace", namespace)
		return nil
	}
	var picked []client.ObjectKey
	for i := range workloads.Items {
		if pick(&workloads.Items[i]) {
			picked = append(picked, client.ObjectKeyFromObject(&workloads.Items[i]))
		}
	}
	return requests(picked)
}

func requests(keys []client.ObjectKey) []reconcile.Request {
	wanted := make([]reconcile.Request, len(keys))
	for i := range keys {
		wanted[i] = reconcile.Request{NamespacedName: keys[i]}
	}
	return wanted
}

// podChanged says whether a pod changed in a way that a decision depends on.
func podChanged(before, after client.Object) bool {
	a, isPod := before.(*corev1.Pod)
	b, isPodToo := after.(*corev1.Pod)
	if !isPod || !isPodToo {
		return true
	}
	a, b = a.DeepCopy(), b.DeepCopy()
	a.ResourceVersion, b.ResourceVersion = "", ""
	a.Generation, b.Generation = 0, 0
	return !equality.Semantic.DeepEqual(a, b)
}
