// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/desired/policy"
	"github.com/labguard/labguard/internal/posture"
)

// +kubebuilder:rbac:groups=labguard.dev,resources=airlockprofiles,verbs=get;list;watch

// Guards says where the policies stand that keep the keys of sidecars.
type Guards struct{ client.Reader }

// Stand says whether the policies that keep keys name a namespace and are bound, and so does and is the one that adds the sidecar: a profile whose pods get no
// sidecar keeps them from starting.
func (g Guards) Stand(ctx context.Context, namespace string) (bool, error) {
	for name, bindings := range map[string][]string{
		injection.ReservedName: {injection.ReservedName}, injection.ReadersName: {injection.ReadersName},
		injection.BackstopName: {injection.BackstopName, injection.ClaimsName, injection.RelabelledName},
	} {
		var guard admissionv1.ValidatingAdmissionPolicy
		if there, err := g.have(ctx, name, &guard); !there || err != nil {
			return false, err
		}
		if !injection.Names(guard.Spec.MatchConstraints, guard.Spec.MatchConditions, namespace) {
			return false, nil
		}
		for _, binding := range bindings {
			if there, err := g.have(ctx, binding, &admissionv1.ValidatingAdmissionPolicyBinding{}); !there || err != nil {
				return false, err
			}
		}
	}
	var adds admissionv1.MutatingAdmissionPolicy
	if there, err := g.have(ctx, injection.InjectionName, &adds); !there || err != nil {
		return false, err
	}
	if !injection.Names(adds.Spec.MatchConstraints, adds.Spec.MatchConditions, namespace) {
		return false, nil
	}
	return g.have(ctx, injection.InjectionName, &admissionv1.MutatingAdmissionPolicyBinding{})
}

// have gets a policy or a binding. It is false if it is not there.
func (g Guards) have(ctx context.Context, name string, guard client.Object) (bool, error) {
	if err := g.Get(ctx, client.ObjectKey{Name: name}, guard); apierrors.IsNotFound(err) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("get the guard %s: %w", name, err)
	}
	return true, nil
}

// keepInjection brings the policies of the sidecar up to date. It returns when the governed namespaces change by time alone.
func (r *Reconciler) keepInjection(ctx context.Context, live *objects, anchor types.UID) (time.Time, error) {
	names, next, err := r.governed(ctx)
	if err != nil {
		return time.Time{}, err
	}
	config := r.Injection
	config.Namespaces, config.LabguardUser = names, r.Gate.LabguardUser
	if config.KindMissing, err = r.kindMissing(ctx); err != nil {
		return time.Time{}, err
	}
	config.Anchor = policy.Anchor{Name: AnchorName, UID: anchor}
	return next, r.writeInjection(ctx, live, config)
}

// kindMissing says whether the cluster does not serve AirlockProfiles. The API server itself is asked before it is believed: a process that has just started
// has not looked yet, and would let pods start without a sidecar.
func (r *Reconciler) kindMissing(ctx context.Context) (bool, error) {
	if r.Served.Serves(served.AirlockProfile) {
		return false, nil
	}
	err := r.Live.List(ctx, &v1alpha1.AirlockProfileList{}, client.Limit(1))
	switch {
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look for AirlockProfiles: %w", err)
	default:
		return false, nil
	}
}

// governed are the namespaces with a LabWorkload that asks for the sidecar and those with a profile: the pods of a LabWorkload that is gone keep their guards until
// its profile goes.
func (r *Reconciler) governed(ctx context.Context) ([]string, time.Time, error) {
	var workloads v1alpha1.LabWorkloadList
	if err := r.List(ctx, &workloads, client.UnsafeDisableDeepCopy); err != nil {
		return nil, time.Time{}, fmt.Errorf("list LabWorkloads: %w", err)
	}
	var profiles v1alpha1.AirlockProfileList
	if err := r.List(ctx, &profiles, client.UnsafeDisableDeepCopy); err != nil {
		return nil, time.Time{}, fmt.Errorf("list AirlockProfiles: %w", err)
	}
	now := r.Clock.Now()
	var names []string
	var next time.Time
	for i := range workloads.Items {
		workload := &workloads.Items[i]
		transit := posture.Transit(&workload.Spec)
		if transit == nil || transit.Provider != v1alpha1.TransitProviderSidecar || transit.Stage == v1alpha1.TransitStageObserve {
			continue
		}
		enforcement := posture.EnforcementAt(&workload.Spec, now)
		next = posture.Earliest(next, enforcement.NextChange)
		if enforcement.Transit {
			names = append(names, workload.Namespace)
		}
	}
	for i := range profiles.Items {
		names = append(names, profiles.Items[i].Namespace)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(r.Excluded, name) })
	slices.Sort(names)
	return slices.Compact(names), next, nil
}

// writeGuard applies what differs of a policy and its bindings, in their order: a binding that is narrower now relies on those before it.
func (r *Reconciler) writeGuard(ctx context.Context, live *objects, guard policy.Validating) error {
	if err := one(ctx, r, "ValidatingAdmissionPolicy", *guard.Policy.Name, live.validatingPolicies.Items, admissionac.ExtractValidatingAdmissionPolicy, guard.Policy); err != nil {
		return err
	}
	for _, binding := range guard.Bindings {
		if err := one(ctx, r, "ValidatingAdmissionPolicyBinding", *binding.Name, live.validatingBindings.Items, admissionac.ExtractValidatingAdmissionPolicyBinding, binding); err != nil {
			return err
		}
	}
	return nil
}

// writeInjection applies what differs: what guards keys and pods before what gives them to pods.
func (r *Reconciler) writeInjection(ctx context.Context, live *objects, config injection.Config) error {
	var failed []error
	for _, guard := range injection.Guards(config) {
		failed = append(failed, r.writeGuard(ctx, live, guard))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	mutating, binding := injection.Injection(config)
	return errors.Join(
		one(ctx, r, "MutatingAdmissionPolicy", *mutating.Name, live.mutatingPolicies.Items, admissionac.ExtractMutatingAdmissionPolicy, mutating),
		one(ctx, r, "MutatingAdmissionPolicyBinding", *binding.Name, live.mutatingBindings.Items, admissionac.ExtractMutatingAdmissionPolicyBinding, binding))
}
