// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/api/v1alpha1"
	applyv1alpha1 "github.com/labguard/labguard/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/access"
)

// Providers says of each IdentityProvider whether its claims arrive, and whether another one names the same issuer.
type Providers struct {
	client.Client
	Clock clock.PassiveClock
	// Random is the source of jitter.
	Random   func() float64
	Recorder events.EventRecorder
}

// +kubebuilder:rbac:groups=labguard.dev,resources=identityproviders,verbs=get;list;watch
// +kubebuilder:rbac:groups=labguard.dev,resources=identityproviders/status,verbs=patch

// SetupWithManager watches IdentityProviders: each for itself, and for the others that name its issuer.
func (r *Providers) SetupWithManager(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).Named("identityprovider").
		For(&v1alpha1.IdentityProvider{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, proofChanged))).
		Watches(&v1alpha1.IdentityProvider{}, handler.EnqueueRequestsFromMapFunc(r.others), builder.WithPredicates(comesAndGoes)).
		Complete(r)
}

// proofChanged lets through that claims were seen to arrive.
var proofChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, wasProvider := e.ObjectOld.(*v1alpha1.IdentityProvider)
	after, isProvider := e.ObjectNew.(*v1alpha1.IdentityProvider)
	return !wasProvider || !isProvider || !before.Status.ClaimsSeenAt.Equal(after.Status.ClaimsSeenAt)
}}

// comesAndGoes lets through that an object is there, and that it is gone: an issuer never changes.
var comesAndGoes = predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}

// others are the other IdentityProviders that name the issuer of one.
func (r *Providers) others(ctx context.Context, object client.Object) []reconcile.Request {
	provider, isProvider := object.(*v1alpha1.IdentityProvider)
	if !isProvider {
		return nil
	}
	names, err := r.rivals(ctx, provider)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the IdentityProviders of an issuer")
		return nil
	}
	var requests []reconcile.Request
	for _, name := range names {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Name: name}})
	}
	return requests
}

// rivals are the names of other IdentityProviders of the same issuer.
func (r *Providers) rivals(ctx context.Context, provider *v1alpha1.IdentityProvider) ([]string, error) {
	var list v1alpha1.IdentityProviderList
	if err := r.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list IdentityProviders: %w", err)
	}
	var names []string
	for i := range list.Items {
		if list.Items[i].Spec.Issuer == provider.Spec.Issuer && list.Items[i].Name != provider.Name {
			names = append(names, list.Items[i].Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Reconcile looks at one IdentityProvider. Its next look is when the proof is a day old.
func (r *Providers) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	now := r.Clock.Now()
	provider := &v1alpha1.IdentityProvider{}
	if err := r.Get(ctx, request.NamespacedName, provider); err != nil {
		if err = client.IgnoreNotFound(err); err != nil {
			err = fmt.Errorf("get IdentityProvider %s: %w", request.Name, err)
		}
		return outcome.Result(err, time.Time{}, now, r.Random)
	}
	if provider.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	rivals, err := r.rivals(ctx, provider)
	if err != nil {
		return outcome.Result(err, time.Time{}, now, r.Random)
	}
	if provesOtherwise(provider) {
		return outcome.Result(r.withdraw(ctx, provider), time.Time{}, now, r.Random) // that it is gone is looked at anew
	}
	seen := judgeSeen(provider, now)
	err = r.report(ctx, provider, conditionsOf(provider, seen, rivals, now))
	return outcome.Result(err, seen.NextChange, now, r.Random)
}

// provesOtherwise says whether the proof that is noted may be of claims that the spec does not ask for any more, or not of all that it does.
func provesOtherwise(provider *v1alpha1.IdentityProvider) bool {
	told := meta.FindStatusCondition(provider.Status.Conditions, v1alpha1.ConditionClaimsSeen)
	return told != nil && told.ObservedGeneration != provider.Generation && provider.Status.ClaimsSeenAt != nil
}

// withdraw takes the proof away, in the name of whoever has noted it. The version that was read goes with it: what was noted meanwhile stays, and is
// looked at again.
func (r *Providers) withdraw(ctx context.Context, provider *v1alpha1.IdentityProvider) error {
	nothing := applyv1alpha1.IdentityProvider(provider.Name).WithUID(provider.UID).WithResourceVersion(provider.ResourceVersion)
	err := r.Status().Apply(ctx, nothing, client.FieldOwner(ProofManager), client.ForceOwnership)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("withdraw the proof of IdentityProvider %s: %w", provider.Name, err)
	}
	return nil
}

// judgeSeen says whether claims of the provider were seen to arrive.
func judgeSeen(provider *v1alpha1.IdentityProvider, now time.Time) posture.Verdict {
	at := provider.Status.ClaimsSeenAt
	switch {
	case at == nil:
		return posture.Phrase(metav1.ConditionFalse, v1alpha1.ReasonClaimsNotSeen,
			"claims of this issuer with all that it proves were never seen to arrive: check the AuthenticationConfiguration, and log in and write something")
	case !now.Before(at.Add(access.ProofLasts)):
		return posture.Phrase(metav1.ConditionFalse, v1alpha1.ReasonClaimsNotSeen, "claims of this issuer with all that it proves were not seen to arrive for 24 hours")
	default:
		verdict := posture.Phrase(metav1.ConditionTrue, v1alpha1.ReasonClaimsArrived, "claims of this issuer with all that it proves have arrived in the last 24 hours")
		verdict.NextChange = at.Add(access.ProofLasts)
		return verdict
	}
}

// conditionsOf are all conditions of the provider. Conflict is there while there is one.
func conditionsOf(provider *v1alpha1.IdentityProvider, seen posture.Verdict, rivals []string, now time.Time) []metav1.Condition {
	conditions := slices.Clone(provider.Status.Conditions)
	set := func(name string, verdict posture.Verdict) {
		meta.SetStatusCondition(&conditions, metav1.Condition{
			Type: name, Status: verdict.Status(), Reason: verdict.Reason, Message: verdict.Message,
			ObservedGeneration: provider.Generation, LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second)),
		})
	}
	set(v1alpha1.ConditionClaimsSeen, seen)
	if len(rivals) == 0 {
		meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionConflict)
		return conditions
	}
	set(v1alpha1.ConditionConflict, posture.Phrase(metav1.ConditionTrue, v1alpha1.ReasonIssuerTwice,
		"IdentityProvider %s names the same issuer, so nobody's login there counts: delete all but one", rivals))
	return conditions
}

// report writes the conditions if they have changed, and announces those that have. The version that was read goes with them: what an old read says of an
// old generation would have the proof withdrawn.
func (r *Providers) report(ctx context.Context, provider *v1alpha1.IdentityProvider, conditions []metav1.Condition) error {
	if equality.Semantic.DeepEqual(provider.Status.Conditions, conditions) {
		return nil
	}
	encoded, err := json.Marshal(&v1alpha1.IdentityProviderStatus{Conditions: conditions})
	if err != nil {
		return fmt.Errorf("encode the status of IdentityProvider %s: %w", provider.Name, err)
	}
	status := &applyv1alpha1.IdentityProviderStatusApplyConfiguration{}
	if err := json.Unmarshal(encoded, status); err != nil {
		return fmt.Errorf("decode the status of IdentityProvider %s: %w", provider.Name, err)
	}
	intent := applyv1alpha1.IdentityProvider(provider.Name).WithUID(provider.UID).WithResourceVersion(provider.ResourceVersion).WithStatus(status)
	err = r.Status().Apply(ctx, intent, client.FieldOwner(v1alpha1.FieldManager), client.ForceOwnership)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("write the status of IdentityProvider %s: %w", provider.Name, err)
	case err == nil:
		r.announce(provider, conditions)
	default: // it is gone, and so is everything that there was to say of it
	}
	return nil
}

// announce sends one event for each condition that says something else. That nothing has arrived at a provider that is new is no news.
func (r *Providers) announce(provider *v1alpha1.IdentityProvider, conditions []metav1.Condition) {
	for i := range conditions {
		now := &conditions[i]
		before := meta.FindStatusCondition(provider.Status.Conditions, now.Type)
		fresh := before == nil && now.Status == metav1.ConditionTrue
		if !fresh && (before == nil || before.Status == now.Status && before.Reason == now.Reason) {
			continue
		}
		kind := corev1.EventTypeNormal
		if now.Status == metav1.ConditionFalse || now.Type == v1alpha1.ConditionConflict {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(provider, nil, kind, now.Reason, "Report", "%s is %s: %s", now.Type, now.Status, now.Message)
	}
}
