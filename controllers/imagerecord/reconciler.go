// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/outcome"
)

// Reconciler notes since when nothing refers to a record, and deletes it when its retention is over.
type Reconciler struct {
	client.Client
	Usage Usage
	Clock clock.PassiveClock
	// Random is the source of jitter.
	Random func() float64
}

// +kubebuilder:rbac:groups=labguard.dev,resources=imagerecords,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=labguard.dev,resources=imagerecords/status,verbs=update
// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads;rolloutrecords,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods;replicationcontrollers,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets;replicasets,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=get;list;watch

// SetupWithManager watches ImageRecords alone: references come and go with every pod, and 30 days need no event.
func (r *Reconciler) SetupWithManager(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).Named("imagerecord").
		For(&v1alpha1.ImageRecord{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}

// Reconcile looks at one record.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	record := &v1alpha1.ImageRecord{}
	now := r.Clock.Now()
	if err := r.Get(ctx, request.NamespacedName, record); err != nil {
		if err = client.IgnoreNotFound(err); err != nil {
			err = fmt.Errorf("get image record %s: %w", request.Name, err)
		}
		return outcome.Result(err, time.Time{}, now, r.Random)
	}
	if record.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	if wait := isNew(record, now); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	used, err := r.Usage.InUse(ctx, record)
	if err != nil {
		return outcome.Result(err, time.Time{}, now, r.Random)
	}
	planned := retain(record.Status, used, now)
	if planned.expired {
		used, err := r.Usage.InUseLive(ctx, record)
		if used { // the caches lag, and the next look finds what they have by then
			return ctrl.Result{RequeueAfter: liveFor}, nil
		}
		if err == nil {
			err = r.remove(ctx, record)
		}
		return outcome.Result(err, time.Time{}, now, r.Random)
	}
	if err := r.note(ctx, record, planned); err != nil {
		return outcome.Result(err, time.Time{}, now, r.Random)
	}
	return r.nextLook(planned, now), nil
}

// note writes since when the record is unused, if that has changed. The version that was read goes with it, so that a cache that lags cannot take back
// what was noted meanwhile.
func (r *Reconciler) note(ctx context.Context, record *v1alpha1.ImageRecord, planned plan) error {
	if record.Status.UnusedSince.Equal(planned.unusedSince) {
		return nil
	}
	record.Status.UnusedSince = planned.unusedSince
	if err := r.Status().Update(ctx, record, client.FieldOwner(v1alpha1.FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("note whether image record %s is used: %w", record.Name, err)
	}
	return nil
}

// remove deletes the very record that was looked at, in the version that was.
func (r *Reconciler) remove(ctx context.Context, record *v1alpha1.ImageRecord) error {
	err := r.Delete(ctx, record, client.Preconditions{UID: &record.UID, ResourceVersion: &record.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete image record %s: %w", record.Name, err)
	}
	return nil
}

// nextLook is after some hours, and exactly when the retention ends.
func (r *Reconciler) nextLook(planned plan, now time.Time) ctrl.Result {
	after := lookEvery + time.Duration(r.Random()*float64(lookEvery))
	if !planned.ends.IsZero() {
		after = min(after, planned.ends.Sub(now))
	}
	return ctrl.Result{RequeueAfter: max(after, time.Millisecond)}
}
