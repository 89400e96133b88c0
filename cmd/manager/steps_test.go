// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// walk follows one root workload called lis through its life.
type walk struct {
	*lab
	kind
	onStale v1alpha1.OnStale
	ward    *ward
}

func newWalk(t *testing.T, k kind, onStale v1alpha1.OnStale) *walk {
	t.Helper()
	l := newLab(t)
	w := &walk{lab: l, kind: k, onStale: onStale, ward: newWard(t, l.namespace)}
	w.protect()
	return w
}

func (w *walk) in(t *testing.T) *walk {
	t.Helper()
	return &walk{lab: w.lab.in(t), kind: w.kind, onStale: w.onStale, ward: w.ward}
}

// protect lets a drained node take one pod at a time, where a controller replaces it.
func (w *walk) protect() {
	w.Helper()
	if !w.scales {
		return
	}
	one := intstr.FromInt32(1)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "lis", Namespace: w.namespace},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}},
	}
	if err := w.Create(w.Context(), budget); err != nil {
		w.Fatalf("create the budget of disruptions: %v", err)
	}
}

// step does something to the workload and waits until all its pods serve again. It says how many served at the worst moment and how many old ones are left, and
// fails if more than missing were missing at any time.
func (w *walk) step(what string, missing int, do func()) {
	w.Helper()
	before := identities(w.serving("lis"))
	w.ward.mark(w.T, len(before))
	do()
	w.settled(what, w.replicas)
	lowest, after := w.ward.lowest(), identities(w.serving("lis"))
	kept := len(slices.DeleteFunc(slices.Clone(before), func(uid types.UID) bool { return !slices.Contains(after, uid) }))
	w.Logf("%s: %d pods serve, %d at the worst moment, %d of the %d old ones are left", what, len(after), lowest, kept, len(before))
	if lowest < w.replicas-missing {
		w.Errorf("%s: only %d of %d pods served at one time", what, lowest, w.replicas)
	}
}

// undisturbed does something that no pod may notice.
func (w *walk) undisturbed(what string, do func()) {
	w.Helper()
	before := identities(w.serving("lis"))
	w.ward.mark(w.T, len(before))
	do()
	w.observed(what)
	after := identities(w.serving("lis"))
	lost := slices.DeleteFunc(slices.Clone(before), func(uid types.UID) bool { return slices.Contains(after, uid) })
	if lowest := w.ward.lowest(); len(lost) > 0 || lowest < len(before) {
		w.Errorf("%s: of %d pods %v were lost, and %d served at the worst moment", what, len(before), lost, lowest)
	}
	w.Logf("%s: all %d old pods serve", what, len(before))
}

// observed waits until the controller of the workload has seen its present declaration.
func (w *walk) observed(what string) {
	w.Helper()
	operator.Eventually(w, what+": its controller has seen it", func() error {
		object := w.empty()
		if err := w.get("lis", object); err != nil {
			return err
		}
		if seen, keeps := observedGeneration(object); keeps && seen != object.GetGeneration() {
			return fmt.Errorf("it has seen generation %d of %d", seen, object.GetGeneration())
		}
		return nil
	})
}

// settled waits until the workload has rolled out and so many of its pods serve.
func (w *walk) settled(what string, replicas int) {
	w.Helper()
	operator.Eventually(w, what+": all pods serve", func() error {
		object := w.empty()
		if err := w.get("lis", object); err != nil {
			return err
		}
		if err := rolledOut(object); err != nil {
			return err
		}
		if serving := w.serving("lis"); len(serving) != replicas || len(w.live("lis")) != replicas {
			return fmt.Errorf("%d of %d pods serve, and there are %d", len(serving), replicas, len(w.live("lis")))
		}
		return nil
	})
}

// live are the pods of an app that have not ended.
func (l *lab) live(app string) []corev1.Pod {
	l.Helper()
	return slices.DeleteFunc(l.pods(app), func(pod corev1.Pod) bool {
		return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
}

func identities(pods []corev1.Pod) []types.UID {
	found := make([]types.UID, len(pods))
	for i := range pods {
		found[i] = pods[i].UID
	}
	slices.Sort(found)
	return found
}

// deletePod deletes one pod of the workload. Where nobody replaces it, the tenant creates it anew.
func (w *walk) deletePod(image string) {
	w.Helper()
	w.may("delete", "pod", w.serving("lis")[0].Name)
	w.replace(image)
}

func (w *walk) replace(image string) {
	w.Helper()
	if !w.heals {
		w.may("apply", "-f", w.file(w.manifest("lis", image)))
	}
}

// drain evicts the pods of the workload from the node of the first of them, which is cordoned, as kubectl drain does. A DaemonSet stays.
func (w *walk) drain(image string) {
	w.Helper()
	draining.Lock()
	defer draining.Unlock()
	node := w.serving("lis")[0].Spec.NodeName
	w.admin("cordon", node)
	defer w.admin("uncordon", node)
	if w.name == "daemonset" {
		return
	}
	for _, pod := range w.serving("lis") {
		if pod.Spec.NodeName != node {
			continue
		}
		operator.Eventually(w, "pod "+pod.Name+" is evicted", func() error {
			// It fails while the budget of disruptions does not allow it.
			precondition := &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
			err := w.SubResource("eviction").Create(context.WithoutCancel(w.Context()), &pod, &policyv1.Eviction{DeleteOptions: precondition})
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				return nil
			}
			return err
		})
	}
	w.replace(image)
	w.settled("drained", w.replicas)
	for _, pod := range w.serving("lis") {
		if pod.Spec.NodeName == node {
			w.Errorf("pod %s is on the drained node", pod.Name)
		}
	}
}

// ward counts the pods of the app lis that serve, at each of their changes.
type ward struct {
	lock    sync.Mutex
	serving map[types.UID]bool
	worst   int
}

func newWard(t *testing.T, namespace string) *ward {
	t.Helper()
	clients, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	w := &ward{serving: map[types.UID]bool{}}
	factory := informers.NewSharedInformerFactoryWithOptions(clients, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) { options.LabelSelector = "app=lis" }))
	registered, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: w.see, UpdateFunc: func(_, pod any) { w.see(pod) }, DeleteFunc: w.forget,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		stop()
		factory.Shutdown()
	})
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), registered.HasSynced) {
		t.Fatal("the pods of the walk are not to be had")
	}
	return w
}

func (w *ward) see(object any) {
	if pod, isPod := object.(*corev1.Pod); isPod {
		w.note(pod.UID, isServing(pod))
	}
}

func (w *ward) forget(object any) {
	if last, isLast := object.(cache.DeletedFinalStateUnknown); isLast {
		object = last.Obj
	}
	if pod, isPod := object.(client.Object); isPod {
		w.note(pod.GetUID(), false)
	}
}

func (w *ward) note(uid types.UID, serves bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if serves {
		w.serving[uid] = true
	} else {
		delete(w.serving, uid)
	}
	w.worst = min(w.worst, len(w.serving))
}

// mark begins to look for the worst moment anew, once it has seen all of the pods that serve.
func (w *ward) mark(t *testing.T, serving int) {
	t.Helper()
	operator.Eventually(t, "all pods that serve are known to", func() error {
		w.lock.Lock()
		defer w.lock.Unlock()
		w.worst = len(w.serving)
		if w.worst != serving {
			return fmt.Errorf("%d of %d are known", w.worst, serving)
		}
		return nil
	})
}

// lowest is how many pods served at the worst moment since the mark.
func (w *ward) lowest() int {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.worst
}
