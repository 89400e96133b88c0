// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

const (
	// proveAgain is how often a proven gate is proven anew.
	proveAgain = time.Hour
	// retry is how soon the canary is sent again when it has not come back; the wait doubles up to maxRetry, so that a policy
	// that refuses it for good does not cost a request every two seconds.
	retry        = 2 * time.Second
	maxRetry     = time.Minute
	maxDoublings = 5
	// servingSoon is how soon this process is asked again whether it serves the webhooks.
	servingSoon = 200 * time.Millisecond
	// samples is how many new connections have to answer where the API servers cannot be reached one by one.
	samples = 5
)

// Prover sends one round of the canary.
type Prover interface {
	Prove(ctx context.Context, namespace string, root *template.Root) (Proof, error)
}

// Reconciler keeps the gate of one namespace.
type Reconciler struct {
	client.Client
	// Live reads from the API server: what is PreExisting is decided once, and never from a cache that lags.
	Live   client.Reader
	Served inventory.Served
	Prover Prover
	Clock  clock.PassiveClock
	// SampleEvery is how long two samples of the API servers lie apart.
	SampleEvery time.Duration
	// Serving says whether this process serves the webhooks by now; nil: it is not asked. A canary before would meet a gate that cannot answer,
	// and take the word of a proof back at each restart.
	Serving func() error
	// Random is the source of jitter.
	Random func() float64
	// Airlock is the image of the sidecar that labguard adds to pods, of which the books say nothing; empty: it adds none.
	Airlock string

	proofs proofs
}

// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads,verbs=get;list;watch
// +kubebuilder:rbac:groups=labguard.dev,resources=rolloutrecords,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=pods;replicationcontrollers,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets;replicasets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=create;patch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=list
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=get;list;watch
// +kubebuilder:rbac:groups=argoproj.io,resources=rollouts,verbs=get;list;watch
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,verbs=get;list;watch

// Reconcile looks at one namespace: the name of the request.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	scope, err := r.gather(ctx, request.Name)
	if err != nil || scope == nil {
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	proof, next, err := r.prove(ctx, scope)
	if err != nil {
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	if proof != nil && ledger.Begun(proof) && !ledger.Begun(scope.epoch()) {
		if err := r.lookAgain(ctx, scope); err != nil {
			r.proofs.forget(scope.namespace.Name)
			return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
		}
	}
	plan := ledger.PlanRecords(scope.observation(proof))
	if err := r.write(ctx, scope, plan); err != nil {
		if proof != nil { // it is not written, and the next canary may be an hour away: let it come back once more
			r.proofs.forget(scope.namespace.Name)
		}
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	again, unwritten := r.annotate(ctx, scope)
	// Recovery ends whatever becomes of the annotations, which tenants can make fail.
	ended, err := r.endRecovery(ctx, scope, plan)
	if err := errors.Join(unwritten, err); err != nil {
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	return exactly(r.Clock.Now(), next, plan.NextChange, ended, again), nil
}

// exactly asks to be called at the earliest of several instants: what the gate does is not jittered, only reports are.
func exactly(now time.Time, instants ...time.Time) ctrl.Result {
	var next time.Time
	for _, instant := range instants {
		next = posture.Earliest(next, instant)
	}
	if next.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(now), time.Millisecond)}
}

// prove sends the canary where it is due. It returns what to write down (nil: nothing new) and when to send the next.
func (r *Reconciler) prove(ctx context.Context, scope *scope) (*v1alpha1.Epoch, time.Time, error) {
	now := r.Clock.Now()
	if !scope.listed || scope.inRecovery() {
		r.proofs.forget(scope.namespace.Name)
		return withdrawn(scope.epoch()), time.Time{}, nil
	}
	if due := r.proofs.due(scope.namespace.Name); now.Before(due) {
		return nil, due, nil
	}
	if serving := r.Serving == nil || r.Serving() == nil; !serving {
		return nil, now.Add(servingSoon), nil
	}
	proof, err := r.Prover.Prove(ctx, scope.namespace.Name, scope.canaryRoot())
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("prove the gate of namespace %s: %w", scope.namespace.Name, err)
	}
	epoch, next := r.proofs.take(scope.namespace.Name, proof, now, r.SampleEvery)
	return epoch, next, nil
}

// withdrawn takes back the word of a proof where the gate does not stand now. The instant since when it stood first is kept.
func withdrawn(epoch *v1alpha1.Epoch) *v1alpha1.Epoch {
	if epoch == nil || epoch.Proof == "" || epoch.Proof == v1alpha1.ReasonEnforcementNotProven {
		return nil
	}
	return &v1alpha1.Epoch{Proof: v1alpha1.ReasonEnforcementNotProven}
}

// lookAgain reads the namespace from the API server, old revisions included, in the moment in which the epoch begins.
func (r *Reconciler) lookAgain(ctx context.Context, scope *scope) error {
	found, err := inventory.List(ctx, r.Live, r.Served, scope.namespace.Name)
	if err != nil {
		return err
	}
	revisions, err := inventory.Revisions(ctx, r.Live, scope.namespace.Name)
	if err != nil {
		return err
	}
	var records v1alpha1.RolloutRecordList
	if err := r.Live.List(ctx, &records, client.InNamespace(scope.namespace.Name)); err != nil {
		return fmt.Errorf("list rollout records of namespace %s: %w", scope.namespace.Name, err)
	}
	found.LeaveOutAirlock(r.Airlock)
	scope.inventory, scope.revisions, scope.records = found, revisions, records.Items
	return nil
}

// write brings the records up to date. Each write carries the version that was read, so that a cache that lags can lose nothing.
func (r *Reconciler) write(ctx context.Context, scope *scope, plan ledger.Plan) error {
	var failed []error
	for i := range plan.Write {
		record := &plan.Write[i]
		record.Labels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}
		var err error
		if record.ResourceVersion == "" {
			err = r.Create(ctx, record, client.FieldOwner(v1alpha1.FieldManager))
		} else {
			err = r.Update(ctx, record, client.FieldOwner(v1alpha1.FieldManager))
		}
		if err != nil {
			// The epoch comes last and only if everything before it is written.
			return fmt.Errorf("write rollout record %s/%s: %w", scope.namespace.Name, record.Name, asConflict(err))
		}
	}
	for _, name := range plan.Delete {
		record := scope.record(name)
		if err := r.Delete(ctx, record, client.Preconditions{UID: &record.UID, ResourceVersion: &record.ResourceVersion}); client.IgnoreNotFound(err) != nil {
			failed = append(failed, fmt.Errorf("delete rollout record %s/%s: %w", scope.namespace.Name, name, err))
		}
	}
	return errors.Join(failed...)
}
