// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package removal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// lookAgainAfter is how often is looked whether the last pod has gone, beside the events of pods.
	lookAgainAfter = 5 * time.Minute
	// settlesIn is for how long nobody may need a profile before it goes. An API server that has not heard yet that no pod is to get the sidecar still gives it to
	// pods, and a request that it is in the middle of takes a minute at most (--request-timeout).
	settlesIn = 2 * time.Minute
)

// idle is since when nobody needs a profile, as far as this process has seen.
type idle struct {
	uid   types.UID
	since time.Time
}

// Reconciler looks after one AirlockProfile that nobody asks for any more.
type Reconciler struct {
	client.Client
	// Live lists pods from the API server: the cache may not know a pod that has just started.
	Live   client.Reader
	Clock  clock.Clock
	Random func() float64

	// idle has one entry for each profile that nobody needs. One worker alone reads and writes it.
	idle map[types.NamespacedName]idle
}

// SetupWithManager watches profiles, LabWorkloads that come, change and go, and pods.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).Named("removal").
		For(&v1alpha1.AirlockProfile{}).
		Watches(&v1alpha1.LabWorkload{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: desired.ChildName(object.GetName())}}}
		})).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.ofPod)).
		Complete(r)
}

// ofPod is the profile of the sidecar that a pod has.
func (r *Reconciler) ofPod(ctx context.Context, pod client.Object) []reconcile.Request {
	workload := pod.GetLabels()[v1alpha1.WorkloadLabel]
	if workload == "" {
		return nil
	}
	var profiles v1alpha1.AirlockProfileList
	if err := r.List(ctx, &profiles, client.InNamespace(pod.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list AirlockProfiles", "namespace", pod.GetNamespace())
		return nil
	}
	for i := range profiles.Items {
		if profiles.Items[i].Spec.Workload == workload {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(&profiles.Items[i])}}
		}
	}
	return nil
}

// Reconcile leaves a profile alone that is asked for, opens one that is not, and deletes it when nobody needs it.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	next, err := r.look(ctx, request.NamespacedName)
	return outcome.Result(err, next, r.Clock.Now(), r.Random)
}

func (r *Reconciler) look(ctx context.Context, key types.NamespacedName) (next time.Time, err error) {
	profile := &v1alpha1.AirlockProfile{}
	if err := r.Get(ctx, key, profile); err != nil {
		delete(r.idle, key)
		return time.Time{}, client.IgnoreNotFound(err)
	}
	workload := &v1alpha1.LabWorkload{}
	err = r.Get(ctx, types.NamespacedName{Namespace: profile.Namespace, Name: profile.Spec.LabWorkload}, workload)
	if client.IgnoreNotFound(err) != nil {
		return time.Time{}, fmt.Errorf("get LabWorkload %s/%s: %w", profile.Namespace, profile.Spec.LabWorkload, err)
	}
	there := err == nil && workload.DeletionTimestamp == nil
	if profile.DeletionTimestamp != nil || there && (workload.Spec.Suspend || r.asks(workload)) {
		delete(r.idle, key)
		return time.Time{}, nil
	}
	var pods corev1.PodList
	err = r.Live.List(ctx, &pods, client.InNamespace(profile.Namespace), client.MatchingLabels{v1alpha1.WorkloadLabel: profile.Spec.Workload})
	if err != nil {
		return time.Time{}, fmt.Errorf("list the pods with the sidecar of %s: %w", key, err)
	}
	if running := notEnded(pods.Items); len(running) > 0 || profile.Spec.Selector != nil {
		delete(r.idle, key)
		// While the LabWorkload is there and speaks of a sidecar, its own controller writes what follows.
		if there && desired.Sidecar(workload) != nil {
			return r.Clock.Now().Add(lookAgainAfter), nil
		}
		return r.Clock.Now().Add(lookAgainAfter), r.open(ctx, profile, running)
	}
	if settled := r.idleSince(key, profile.UID).Add(settlesIn); r.Clock.Now().Before(settled) {
		return settled, nil
	}
	return time.Time{}, r.remove(ctx, profile)
}

// idleSince is since when nobody needs a profile: from now on, if that is news.
func (r *Reconciler) idleSince(key types.NamespacedName, uid types.UID) time.Time {
	if known, found := r.idle[key]; found && known.uid == uid {
		return known.since
	}
	if r.idle == nil {
		r.idle = map[types.NamespacedName]idle{}
	}
	r.idle[key] = idle{uid: uid, since: r.Clock.Now()}
	return r.idle[key].since
}

// asks says whether a LabWorkload asks for the sidecar now.
func (r *Reconciler) asks(workload *v1alpha1.LabWorkload) bool {
	spec := desired.Sidecar(workload)
	return spec != nil && spec.Stage != v1alpha1.TransitStageObserve && posture.EnforcementAt(&workload.Spec, r.Clock.Now()).Transit
}

// notEnded are the pods that may still have connections: those on their way out too.
func notEnded(pods []corev1.Pod) []corev1.Pod {
	var running []corev1.Pod
	for i := range pods {
		if phase := pods[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			running = append(running, pods[i])
		}
	}
	return running
}

// open has pods that start from now on start without the sidecar, and opens plaintext again.
func (r *Reconciler) open(ctx context.Context, profile *v1alpha1.AirlockProfile, running []corev1.Pod) error {
	wanted := transit.Leaving(profile.Spec)
	if !equality.Semantic.DeepEqual(wanted, profile.Spec) {
		configuration, err := transit.ProfileApply(profile.Namespace, &wanted)
		if err != nil {
			return err
		}
		// A selector that somebody else has written too would stay, and be taken away again and again.
		if expelled, err := apply.Expel(ctx, r.Client, profile, configuration); err != nil || expelled {
			return err
		}
		if err := apply.Onto(ctx, r.Client, "AirlockProfile", profile, configuration); err != nil {
			return err
		}
	}
	document := &corev1.ConfigMap{}
	err := r.Get(ctx, client.ObjectKeyFromObject(profile), document)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get ConfigMap %s/%s: %w", profile.Namespace, profile.Name, err)
	}
	relaxed, err := transit.Relaxed([]byte(document.Data[transit.DocumentKey]), func(id string) (bool, error) { return r.strict(ctx, id) })
	if err != nil || !metav1.IsControlledBy(document, profile) {
		return err
	}
	if string(relaxed) != document.Data[transit.DocumentKey] {
		owned := coreac.ConfigMap(document.Name, document.Namespace).WithLabels(document.Labels).
			WithOwnerReferences(desired.OwnedByProfile(profile)).WithData(map[string]string{transit.DocumentKey: string(relaxed)})
		return apply.Onto(ctx, r.Client, "ConfigMap", document, owned)
	}
	return r.tell(ctx, running, transit.Sync(relaxed, transit.Platform{}, ""))
}

// strict says whether the LabWorkload with a SPIFFE ID lets in mutual TLS alone. One whose profile is gone, or goes, lets in plaintext.
func (r *Reconciler) strict(ctx context.Context, id string) (bool, error) {
	key, known := desired.WorkloadOf(id)
	if !known {
		return true, nil
	}
	profile := &v1alpha1.AirlockProfile{}
	err := r.Get(ctx, types.NamespacedName{Namespace: key.Namespace, Name: desired.ChildName(key.Name)}, profile)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("get the profile of %s: %w", id, err)
	}
	return err == nil && profile.Spec.Stage == v1alpha1.TransitStageStrict, nil
}

// tell has the kubelet look at once at what is mounted.
func (r *Reconciler) tell(ctx context.Context, pods []corev1.Pod, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.SyncAnnotation: value}}})
	if err != nil {
		return fmt.Errorf("encode a patch: %w", err)
	}
	for i := range pods {
		if pods[i].Annotations[v1alpha1.SyncAnnotation] == value {
			continue
		}
		target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pods[i].Namespace, Name: pods[i].Name}}
		if err := r.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("tell pod %s/%s of a change: %w", pods[i].Namespace, pods[i].Name, err)
		}
	}
	return nil
}

// remove deletes the profile as it was read; the garbage collector deletes its children.
func (r *Reconciler) remove(ctx context.Context, profile *v1alpha1.AirlockProfile) error {
	uid, version := profile.UID, profile.ResourceVersion
	err := r.Delete(ctx, profile, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete AirlockProfile %s/%s: %w", profile.Namespace, profile.Name, err)
	}
	return nil
}
