// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

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

const (
	// KeepAcknowledged is how long a use of break glass is kept after labguard has first seen that it is acknowledged, for auditors.
	KeepAcknowledged = 90 * 24 * time.Hour
	// AcknowledgedAnnotation is on a use of break glass: when labguard has first seen that it is acknowledged.
	AcknowledgedAnnotation = "labguard.dev/acknowledged-at"
)

// Retention deletes uses of break glass that were acknowledged long ago. One that is open stays.
type Retention struct {
	client.Client
	Clock clock.PassiveClock
	// Random is the source of jitter.
	Random func() float64

	tally openTally
}

// +kubebuilder:rbac:groups=labguard.dev,resources=breakglassuses,verbs=get;list;watch;update;delete

// SetupWithManager watches uses of break glass.
func (r *Retention) SetupWithManager(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).Named("breakglassuse").
		For(&v1alpha1.BreakGlassUse{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}

// Reconcile looks at one use. The acknowledgement has no time of its own, so labguard notes when it has seen it first.
func (r *Retention) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	now := r.Clock.Now()
	use := &v1alpha1.BreakGlassUse{}
	if err := r.Get(ctx, request.NamespacedName, use); err != nil {
		if err = client.IgnoreNotFound(err); err == nil {
			r.tally.set(request.NamespacedName, false)
		} else {
			err = fmt.Errorf("get the use of break glass %s: %w", request, err)
		}
		return outcome.Result(err, time.Time{}, now, r.Random)
	}
	r.tally.set(request.NamespacedName, use.DeletionTimestamp == nil && use.Spec.Acknowledgement == nil)
	if use.DeletionTimestamp != nil || use.Spec.Acknowledgement == nil {
		return ctrl.Result{}, nil
	}
	at, err := time.Parse(time.RFC3339, use.Annotations[AcknowledgedAnnotation])
	if err != nil || at.After(now) { // there is none, or nobody can have written it who knows the time
		at = now.UTC().Truncate(time.Second)
		return outcome.Result(r.note(ctx, use, at), at.Add(KeepAcknowledged), now, r.Random)
	}
	if ends := at.Add(KeepAcknowledged); now.Before(ends) {
		return outcome.Result(nil, ends, now, r.Random)
	}
	err = r.Delete(ctx, use, client.Preconditions{UID: &use.UID, ResourceVersion: &use.ResourceVersion})
	if err = client.IgnoreNotFound(err); err != nil {
		err = fmt.Errorf("delete the use of break glass %s: %w", request, err)
	}
	return outcome.Result(err, time.Time{}, now, r.Random)
}

func (r *Retention) note(ctx context.Context, use *v1alpha1.BreakGlassUse, at time.Time) error {
	if use.Annotations == nil {
		use.Annotations = map[string]string{}
	}
	use.Annotations[AcknowledgedAnnotation] = at.Format(time.RFC3339)
	if err := r.Update(ctx, use, client.FieldOwner(v1alpha1.FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("note when the use of break glass %s/%s was acknowledged: %w", use.Namespace, use.Name, err)
	}
	return nil
}
