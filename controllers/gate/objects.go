// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/desired/gate"
)

// objects are what exists of the gate.
type objects struct {
	mutating           admissionv1.MutatingWebhookConfigurationList
	validating         admissionv1.ValidatingWebhookConfigurationList
	mutatingPolicies   admissionv1.MutatingAdmissionPolicyList
	mutatingBindings   admissionv1.MutatingAdmissionPolicyBindingList
	validatingPolicies admissionv1.ValidatingAdmissionPolicyList
	validatingBindings admissionv1.ValidatingAdmissionPolicyBindingList
}

func gatherFrom(ctx context.Context, reader client.Reader) (*objects, error) {
	live := &objects{}
	lists := []client.ObjectList{
		&live.mutating, &live.validating, &live.mutatingPolicies, &live.mutatingBindings, &live.validatingPolicies, &live.validatingBindings,
	}
	for _, list := range lists {
		if err := reader.List(ctx, list, client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}); err != nil {
			return nil, fmt.Errorf("list %T: %w", list, err)
		}
	}
	return live, nil
}

// webhooks are the configurations, in the order in which they are to be removed: what could refuse something first.
func (o *objects) webhooks() []client.Object {
	var found []client.Object
	for i := range o.validating.Items {
		found = append(found, &o.validating.Items[i])
	}
	for i := range o.mutating.Items {
		found = append(found, &o.mutating.Items[i])
	}
	return found
}

// policies are the admission policies and their bindings, in the order in which they are to be removed.
func (o *objects) policies() []client.Object {
	var found []client.Object
	for i := range o.validatingBindings.Items {
		found = append(found, &o.validatingBindings.Items[i])
	}
	for i := range o.validatingPolicies.Items {
		found = append(found, &o.validatingPolicies.Items[i])
	}
	for i := range o.mutatingBindings.Items {
		found = append(found, &o.mutatingBindings.Items[i])
	}
	for i := range o.mutatingPolicies.Items {
		found = append(found, &o.mutatingPolicies.Items[i])
	}
	return found
}

// listed are the namespaces that the webhook configurations name now.
func (o *objects) listed() []string {
	var names []string
	for i := range o.validating.Items {
		names = append(names, inventory.ListedNamespaces(&o.validating.Items[i])...)
	}
	return names
}

// caBundle is what the webhook configurations trust now.
func (o *objects) caBundle() []byte {
	for i := range o.validating.Items {
		for _, webhook := range o.validating.Items[i].Webhooks {
			if len(webhook.ClientConfig.CABundle) > 0 {
				return webhook.ClientConfig.CABundle
			}
		}
	}
	return nil
}

// write applies what differs: the policies first, then what mutates, then what refuses, and removes configurations that are not needed any more.
// Where names are added, the last configuration goes first, so that a name that moves to the next one is never in none.
func (r *Reconciler) write(ctx context.Context, live *objects, config gate.Config) error {
	var failed []error
	marks, marksBinding := gate.Marks(config)
	recovery, recoveryBinding := gate.Recovery(config)
	gates, gatesBinding := gate.Gates(config)
	failed = append(failed,
		one(ctx, r, "MutatingAdmissionPolicy", *marks.Name, live.mutatingPolicies.Items, admissionac.ExtractMutatingAdmissionPolicy, marks),
		one(ctx, r, "MutatingAdmissionPolicyBinding", *marksBinding.Name, live.mutatingBindings.Items, admissionac.ExtractMutatingAdmissionPolicyBinding, marksBinding),
		one(ctx, r, "ValidatingAdmissionPolicy", *recovery.Name, live.validatingPolicies.Items, admissionac.ExtractValidatingAdmissionPolicy, recovery),
		one(ctx, r, "ValidatingAdmissionPolicyBinding", *recoveryBinding.Name, live.validatingBindings.Items, admissionac.ExtractValidatingAdmissionPolicyBinding, recoveryBinding),
		one(ctx, r, "ValidatingAdmissionPolicy", *gates.Name, live.validatingPolicies.Items, admissionac.ExtractValidatingAdmissionPolicy, gates),
		one(ctx, r, "ValidatingAdmissionPolicyBinding", *gatesBinding.Name, live.validatingBindings.Items, admissionac.ExtractValidatingAdmissionPolicyBinding, gatesBinding),
	)
	if err := errors.Join(failed...); err != nil {
		return err // the match conditions of the webhooks rest on annotations that the policies protect
	}
	mutating, validating := gate.MutatingWebhooks(config), gate.ValidatingWebhooks(config)
	wanted := map[string]bool{}
	growing := len(config.Namespaces) >= len(live.listed())
	for i := range mutating {
		at := i
		if growing {
			at = len(mutating) - 1 - i
		}
		wanted[*mutating[at].Name] = true
		failed = append(failed,
			one(ctx, r, "MutatingWebhookConfiguration", *mutating[at].Name, live.mutating.Items, admissionac.ExtractMutatingWebhookConfiguration, mutating[at]),
			one(ctx, r, "ValidatingWebhookConfiguration", *validating[at].Name, live.validating.Items, admissionac.ExtractValidatingWebhookConfiguration, validating[at]))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return r.prune(ctx, live, wanted)
}

func (r *Reconciler) prune(ctx context.Context, live *objects, wanted map[string]bool) error {
	var failed []error
	for _, object := range live.webhooks() {
		if gate.IsConfiguration(object.GetName()) && !wanted[object.GetName()] {
			if err := r.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
				failed = append(failed, fmt.Errorf("delete %s: %w", object.GetName(), err))
			}
		}
	}
	return errors.Join(failed...)
}

// object is a pointer to a kind of the API.
type object[T any] interface {
	*T
	client.Object
}

// one applies one object if what labguard owns of it differs from the intent.
func one[T any, P object[T], C runtime.ApplyConfiguration](
	ctx context.Context, r *Reconciler, kind, name string, live []T, extract func(P, string) (C, error), desired C,
) error {
	for i := range live {
		found := P(&live[i])
		if found.GetName() != name {
			continue
		}
		if expelled, err := apply.Expel(ctx, r.Client, found, desired); err != nil || expelled {
			return err // the object is another now; the event of that write leads here again
		}
		owned, err := extract(found, v1alpha1.FieldManager)
		if err != nil {
			return fmt.Errorf("read what labguard owns of %s %s: %w", kind, name, err)
		}
		same, err := apply.Same(owned, desired)
		if err != nil || same {
			return err
		}
		return apply.Onto(ctx, r.Client, kind, found, desired)
	}
	if err := r.absent(ctx, kind, name, P(new(T))); err != nil {
		return err
	}
	if err := r.Apply(ctx, desired, client.FieldOwner(v1alpha1.FieldManager), client.ForceOwnership); err != nil {
		return fmt.Errorf("apply %s %s: %w", kind, name, err)
	}
	return nil
}

// absent asks the API server itself whether an object is not there that the cache does not have: a process that has just taken over must not
// write over what the one before it wrote.
func (r *Reconciler) absent(ctx context.Context, kind, name string, object client.Object) error {
	err := r.Live.Get(ctx, client.ObjectKey{Name: name}, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("get %s %s: %w", kind, name, err)
	case object.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedByValue:
		return nil // it has lost the label by which the cache knows it, and gets it back
	default:
		return apierrors.NewConflict(schema.GroupResource{Group: admissionv1.GroupName, Resource: kind}, name, errors.New("the cache does not have it yet"))
	}
}
