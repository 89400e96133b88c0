// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// AnchorName is the ClusterRole without rules that owns everything of the gate: deleting it removes the gate.
	AnchorName = "labguard-webhook-anchor"
	// keepListed is how long a namespace stays listed after its last enforcing LabWorkload: a GitOps tool that prunes and creates anew
	// opens no gap.
	keepListed = 10 * time.Minute
	// EpochField is the field by which the records of enforcement epochs are found. The API server knows it; a cache needs an index on it.
	EpochField = "metadata.name"
	// leaveAgain is how soon the gate is taken down again that was not wholly taken down.
	leaveAgain = 200 * time.Millisecond
)

// Authority gives the PEM certificate of the authority that signs the serving certificate of the webhooks.
type Authority interface {
	CABundle(ctx context.Context) ([]byte, error)
}

// Holds are the rollouts that the gate keeps back.
type Holds interface {
	// Release gives all of them back. No webhook of labguard listens any more when it is called. Called again, it goes on with what is left.
	Release(ctx context.Context) error
}

// Reconciler keeps the webhook configurations and the admission policies.
type Reconciler struct {
	client.Client
	// Live reads from the API server what the cache does not have.
	Live      client.Reader
	Served    inventory.Served
	Authority Authority
	// Holds are given back when the gate is taken down.
	Holds  Holds
	Clock  clock.PassiveClock
	Random func() float64
	// Namespace is labguard's own. While it is being deleted the gate is taken down.
	Namespace string
	// Excluded are namespaces that are never listed, whatever LabWorkloads are in them.
	Excluded []string
	// Gate is the part of the configuration that does not change: GitOps namespaces, user, endpoint, timeout.
	Gate gate.Config
	// Injection is the part of the configuration of the sidecar's policies that does not change: issuers, user of cert-manager, how bundles get into pods.
	Injection injection.Config
	// Access is the part of the configuration of the objects about people that does not change: machines, the group of the emergency, timeout.
	Access access.Config

	left       map[string]time.Time
	leftPeople map[string]leftPeople
}

// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads;rolloutrecords,verbs=get;list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations;validatingwebhookconfigurations,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingadmissionpolicies;mutatingadmissionpolicybindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,resourceNames=labguard-webhook-anchor,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// Reconcile brings the gate up to date. Every request means the same.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	leaving, err := r.leaving(ctx)
	if err == nil && leaving {
		return outcome.Result(r.TearDown(ctx), time.Time{}, r.Clock.Now(), r.Random)
	}
	var next time.Time
	if err == nil {
		next, err = r.keep(ctx)
	}
	if err != nil {
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	if next.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(r.Clock.Now()), time.Millisecond)}, nil
}

// leaving says whether labguard's own namespace is gone or on its way out: the usual uninstall, which would leave a gate behind that
// nobody answers for.
func (r *Reconciler) leaving(ctx context.Context) (bool, error) {
	var own corev1.Namespace
	err := r.Get(ctx, client.ObjectKey{Name: r.Namespace}, &own)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("get namespace %s: %w", r.Namespace, err)
	default:
		return own.DeletionTimestamp != nil, nil
	}
}

func (r *Reconciler) keep(ctx context.Context) (time.Time, error) {
	live, err := gatherFrom(ctx, r.Client)
	if err != nil {
		return time.Time{}, err
	}
	names, next, err := r.namespaces(ctx, live)
	if err != nil {
		return time.Time{}, err
	}
	config := r.Gate
	config.Namespaces, config.AnchorName = names, AnchorName
	config.ArgoRollouts = r.Served.Serves(inventory.ArgoRollout.GroupKind())
	var anchor rbacv1.ClusterRole
	if err := r.Get(ctx, client.ObjectKey{Name: AnchorName}, &anchor); err != nil {
		if apierrors.IsNotFound(err) {
			return next, &outcome.WaitingError{
				Reason: v1alpha1.ReasonWaiting, Message: "ClusterRole " + AnchorName + " is missing: it belongs to labguard's manifests; apply them",
			}
		}
		return next, fmt.Errorf("get the anchor of the gate: %w", err)
	}
	config.AnchorUID = anchor.UID
	bundle, err := r.Authority.CABundle(ctx)
	if err != nil {
		return next, err
	}
	config.CABundle = mergeBundles(live.caBundle(), bundle, r.Clock.Now())
	metrics.EnforcedNamespaces.Set(float64(len(names)))
	change, failed := r.keepInjection(ctx, live, anchor.UID)
	people, unkept := r.keepAccess(ctx, live, config)
	return posture.Earliest(next, posture.Earliest(change, people)), errors.Join(failed, unkept, r.write(ctx, live, config))
}

// namespaces are those with a LabWorkload that enforces the age of images, those that had one until a short while ago, and those in which something is
// held: only a webhook gives back what a hold has replaced in the write that releases it. It returns when that changes by time alone.
func (r *Reconciler) namespaces(ctx context.Context, live *objects) ([]string, time.Time, error) {
	var workloads v1alpha1.LabWorkloadList
	if err := r.List(ctx, &workloads, client.UnsafeDisableDeepCopy); err != nil {
		return nil, time.Time{}, fmt.Errorf("list LabWorkloads: %w", err)
	}
	now := r.Clock.Now()
	var next time.Time
	wanted := map[string]bool{}
	for i := range workloads.Items {
		workload := &workloads.Items[i]
		enforcement := posture.EnforcementAt(&workload.Spec, now)
		next = posture.Earliest(next, enforcement.NextChange)
		if enforcement.Images && !slices.Contains(r.Excluded, workload.Namespace) {
			wanted[workload.Namespace] = true
		}
	}
	if err := r.addHolding(ctx, wanted); err != nil {
		return nil, time.Time{}, err
	}
	next = posture.Earliest(next, r.linger(wanted, live.listed(), now))
	names := make([]string, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, next, nil
}

// addHolding adds the namespaces whose record of the epoch says that something is held there.
func (r *Reconciler) addHolding(ctx context.Context, wanted map[string]bool) error {
	var epochs v1alpha1.RolloutRecordList
	if err := r.List(ctx, &epochs, client.MatchingFields{EpochField: v1alpha1.EpochRecordName}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the records of enforcement epochs: %w", err)
	}
	for i := range epochs.Items {
		record := &epochs.Items[i]
		if record.Spec.Epoch != nil && record.Spec.Epoch.Held > 0 && !slices.Contains(r.Excluded, record.Namespace) {
			wanted[record.Namespace] = true
		}
	}
	return nil
}

// linger adds to the wanted namespaces those that were listed and are not wanted any more for less than ten minutes. It returns when the first of
// them goes. What this process remembers counts as well as what is written: a configuration that somebody deletes comes back whole.
func (r *Reconciler) linger(wanted map[string]bool, listed []string, now time.Time) time.Time {
	if r.left == nil {
		r.left = map[string]time.Time{}
	}
	for _, name := range listed {
		if _, known := r.left[name]; !known {
			r.left[name] = now
		}
	}
	var next time.Time
	for name, since := range r.left {
		end := since.Add(keepListed)
		switch {
		case wanted[name], slices.Contains(r.Excluded, name), !now.Before(end):
			delete(r.left, name)
		default:
			next = posture.Earliest(next, end)
		}
	}
	for name := range r.left {
		wanted[name] = true
	}
	return next
}

// TearDown removes everything of the gate: first the webhook configurations, which could refuse something, then what they held, then the policies.
func (r *Reconciler) TearDown(ctx context.Context) error {
	live, err := gatherFrom(ctx, r.Client)
	if err != nil {
		return err
	}
	return r.remove(ctx, live)
}

// remove gives holds back between webhooks and policies: with a webhook that listens a hold would be put on again, and with one that does not answer the
// write would be refused.
func (r *Reconciler) remove(ctx context.Context, live *objects) error {
	if err := r.delete(ctx, live.webhooks()); err != nil {
		return err
	}
	var failed error
	if r.Holds != nil {
		failed = r.Holds.Release(ctx)
	}
	return errors.Join(failed, r.delete(ctx, live.policies()))
}

func (r *Reconciler) delete(ctx context.Context, objects []client.Object) error {
	var failed []error
	for _, object := range objects {
		if err := r.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
			failed = append(failed, fmt.Errorf("delete %s: %w", object.GetName(), err))
		}
	}
	return errors.Join(failed...)
}

// Leave takes the gate down if labguard's own namespace is gone or on its way out, read from the API server, as caches have stopped by then. It goes on trying
// until the context ends: the API servers take a moment to notice that the webhooks are gone.
func (r *Reconciler) Leave(ctx context.Context, live client.Reader) error {
	var own corev1.Namespace
	err := live.Get(ctx, client.ObjectKey{Name: r.Namespace}, &own)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get namespace %s: %w", r.Namespace, err)
	}
	if err == nil && own.DeletionTimestamp == nil {
		return nil
	}
	var failed error
	err = wait.PollUntilContextCancel(ctx, leaveAgain, true, func(ctx context.Context) (bool, error) {
		found, err := gatherFrom(ctx, live)
		if err == nil {
			err = r.remove(ctx, found)
		}
		failed = err
		return err == nil, nil
	})
	if err != nil {
		return errors.Join(err, failed)
	}
	return nil
}
