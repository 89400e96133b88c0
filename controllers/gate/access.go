// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/desired/policy"
	"github.com/labguard/labguard/internal/posture"
)

// +kubebuilder:rbac:groups=labguard.dev,resources=identityproviders,verbs=get;list;watch

// leftPeople is a namespace in which nothing is asked of people any more.
type leftPeople struct {
	access.Namespace
	since time.Time
}

// keepAccess brings the objects about people up to date, with the endpoint and the anchor of the gate. It returns when they change by time alone.
func (r *Reconciler) keepAccess(ctx context.Context, live *objects, base gate.Config) (time.Time, error) {
	var providers v1alpha1.IdentityProviderList
	if err := r.List(ctx, &providers, client.UnsafeDisableDeepCopy); err != nil {
		return time.Time{}, fmt.Errorf("list IdentityProviders: %w", err)
	}
	asking, next, err := r.asking(ctx, len(providers.Items) > 0)
	if err != nil {
		return time.Time{}, err
	}
	now := r.Clock.Now()
	next = posture.Earliest(next, r.lingerPeople(asking, live, now))
	config := r.Access
	for _, namespace := range asking {
		config.Namespaces = append(config.Namespaces, namespace)
	}
	for i := range providers.Items {
		spec := &providers.Items[i].Spec
		config.Providers = append(config.Providers, access.Provider{Issuer: spec.Issuer, Keys: spec.ClaimKeys})
	}
	config.LabguardUser, config.Endpoint, config.CABundle, config.ArgoRollouts = base.LabguardUser, base.Endpoint, base.CABundle, base.ArgoRollouts
	config.Anchor = policy.Anchor{Name: base.AnchorName, UID: base.AnchorUID}
	return next, r.writeAccess(ctx, live, config)
}

// asking are the namespaces with a LabWorkload that asks people for a login or for training, by name, and when that changes by time alone.
func (r *Reconciler) asking(ctx context.Context, provable bool) (map[string]access.Namespace, time.Time, error) {
	var workloads v1alpha1.LabWorkloadList
	if err := r.List(ctx, &workloads, client.UnsafeDisableDeepCopy); err != nil {
		return nil, time.Time{}, fmt.Errorf("list LabWorkloads: %w", err)
	}
	now := r.Clock.Now()
	var next time.Time
	found := map[string]access.Namespace{}
	for i := range workloads.Items {
		workload := &workloads.Items[i]
		if workload.Spec.MFA == nil && workload.Spec.Training == nil || slices.Contains(r.Excluded, workload.Namespace) {
			continue
		}
		enforcement := posture.EnforcementAt(&workload.Spec, now)
		next = posture.Earliest(next, enforcement.NextChange)
		found[workload.Namespace] = asks(workload, &enforcement, provable).Stricter(found[workload.Namespace])
	}
	return found, next, nil
}

// asks says what one LabWorkload asks of people. The policy guards its namespace unless the webhook might let somebody through who shows nothing: with
// onUnproven: Warn, while the cluster knows no identity provider.
func asks(workload *v1alpha1.LabWorkload, enforcement *posture.Enforcement, provable bool) access.Namespace {
	namespace := access.Namespace{Name: workload.Namespace}
	add := func(covers []v1alpha1.AccessCover, enforced bool) {
		how := access.Told
		if enforced {
			how = access.Enforced
		}
		if len(covers) == 0 || slices.Contains(covers, v1alpha1.CoverAccess) {
			namespace.Access = max(namespace.Access, how)
		}
		if len(covers) == 0 || slices.Contains(covers, v1alpha1.CoverChange) {
			namespace.Change = max(namespace.Change, how)
		}
	}
	spec := &workload.Spec
	if spec.MFA != nil {
		add(spec.MFA.Covers, enforcement.MFA)
	}
	if spec.Training != nil {
		add(spec.Training.Covers, enforcement.Training)
	}
	warns := spec.MFA != nil && spec.MFA.OnUnproven == v1alpha1.OnUnprovenWarn
	namespace.Guarded = namespace.Access == access.Enforced && (provable || !warns)
	return namespace
}

// lingerPeople keeps namespaces for ten minutes as they were listed in which nothing is asked any more, and returns when the first of them goes. What
// is only told about goes at once, as it refuses nothing.
func (r *Reconciler) lingerPeople(asking map[string]access.Namespace, live *objects, now time.Time) time.Time {
	if r.leftPeople == nil {
		r.leftPeople = map[string]leftPeople{}
	}
	for _, listed := range live.listedForPeople() {
		if _, known := r.leftPeople[listed.Name]; !known && (listed.Access == access.Enforced || listed.Change == access.Enforced) {
			r.leftPeople[listed.Name] = leftPeople{Namespace: listed, since: now}
		}
	}
	var next time.Time
	for name, left := range r.leftPeople {
		_, wanted := asking[name]
		end := left.since.Add(keepListed)
		if wanted || slices.Contains(r.Excluded, name) || !now.Before(end) {
			delete(r.leftPeople, name)
			continue
		}
		asking[name] = left.Namespace
		next = posture.Earliest(next, end)
	}
	return next
}

// listedForPeople are the namespaces in which people are asked for something now.
func (o *objects) listedForPeople() []access.Namespace {
	guarded := map[string]bool{}
	for i := range o.validatingPolicies.Items {
		for _, name := range access.Guarded(&o.validatingPolicies.Items[i]) {
			guarded[name] = true
		}
	}
	var found []access.Namespace
	for i := range o.validating.Items {
		for _, namespace := range access.Listed(&o.validating.Items[i]) {
			namespace.Guarded = guarded[namespace.Name]
			found = append(found, namespace)
		}
	}
	return found
}

// writeAccess applies what differs, the record of break glass first, and removes what is not needed any more. Where names are added, the last object goes
// first, so that a name that moves to the next one is never in none.
func (r *Reconciler) writeAccess(ctx context.Context, live *objects, config access.Config) error {
	guards, configurations := access.Policies(config), access.Webhooks(config)
	if len(config.Namespaces) >= len(live.listedForPeople()) {
		slices.Reverse(guards)
		slices.Reverse(configurations)
	}
	wanted := map[string]bool{}
	var failed []error
	for _, guard := range append([]policy.Validating{access.BreakGlass(config)}, guards...) {
		wanted["policy "+*guard.Policy.Name] = true
		failed = append(failed,
			one(ctx, r, "ValidatingAdmissionPolicy", *guard.Policy.Name, live.validatingPolicies.Items, admissionac.ExtractValidatingAdmissionPolicy, guard.Policy),
			one(ctx, r, "ValidatingAdmissionPolicyBinding", *guard.Bindings[0].Name, live.validatingBindings.Items, admissionac.ExtractValidatingAdmissionPolicyBinding, guard.Bindings[0]))
	}
	for _, configuration := range configurations {
		wanted["configuration "+*configuration.Name] = true
		failed = append(failed, one(ctx, r, "ValidatingWebhookConfiguration", *configuration.Name, live.validating.Items, admissionac.ExtractValidatingWebhookConfiguration, configuration))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return r.delete(ctx, live.surplus(wanted))
}

// surplus is what there is about people and not wanted any more: configurations before bindings before policies.
func (o *objects) surplus(wanted map[string]bool) []client.Object {
	var found []client.Object
	for i := range o.validating.Items {
		if one := &o.validating.Items[i]; access.IsNumbered(one.Name) && !wanted["configuration "+one.Name] {
			found = append(found, one)
		}
	}
	for i := range o.validatingBindings.Items {
		if one := &o.validatingBindings.Items[i]; access.IsNumbered(one.Name) && !wanted["policy "+one.Name] {
			found = append(found, one)
		}
	}
	for i := range o.validatingPolicies.Items {
		if one := &o.validatingPolicies.Items[i]; access.IsNumbered(one.Name) && !wanted["policy "+one.Name] {
			found = append(found, one)
		}
	}
	return found
}
