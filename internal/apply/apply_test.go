// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// fixture is an owner in a namespace of its own, and a client that counts what it writes.
type fixture struct {
	t      *testing.T
	client client.Client
	owner  *corev1.ConfigMap
	writes []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t}
	direct, err := client.NewWithWatch(cluster.Config(), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f.client = interceptor.NewClient(direct, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			f.writes = append(f.writes, "apply")
			return c.Apply(ctx, object, options...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			f.writes = append(f.writes, "patch")
			return c.Patch(ctx, object, patch, options...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			f.writes = append(f.writes, "delete")
			return c.Delete(ctx, object, options...)
		},
	})
	f.owner = f.ownerNamed(cluster.Namespace(t), "owner")
	return f
}

func (f *fixture) ownerNamed(namespace, name string) *corev1.ConfigMap {
	f.t.Helper()
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := f.client.Create(f.t.Context(), owner); err != nil {
		f.t.Fatal(err)
	}
	return owner
}

// intent is a policy that lets app=engine in at a port.
func (f *fixture) intent(port int) *networkingac.NetworkPolicyApplyConfiguration {
	return networkingac.NetworkPolicy("lis", f.owner.Namespace).
		WithLabels(map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}).
		WithOwnerReferences(metaac.OwnerReference().WithAPIVersion("v1").WithKind("ConfigMap").WithName(f.owner.Name).WithUID(f.owner.UID).
			WithController(true).WithBlockOwnerDeletion(true)).
		WithSpec(networkingac.NetworkPolicySpec().
			WithPodSelector(metaac.LabelSelector().WithMatchLabels(map[string]string{"app": "lis"})).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(networkingac.NetworkPolicyIngressRule().
				WithPorts(networkingac.NetworkPolicyPort().WithPort(intstr.FromInt(port)).WithProtocol(corev1.ProtocolTCP)).
				WithFrom(networkingac.NetworkPolicyPeer().WithPodSelector(metaac.LabelSelector().WithMatchLabels(map[string]string{"app": "engine"})))))
}

func (f *fixture) live() *networkingv1.NetworkPolicy {
	f.t.Helper()
	policy := &networkingv1.NetworkPolicy{}
	err := f.client.Get(f.t.Context(), types.NamespacedName{Namespace: f.owner.Namespace, Name: "lis"}, policy)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return policy
}

// child looks at the API server and calls Child, as a reconciler does.
func (f *fixture) child(desired *networkingac.NetworkPolicyApplyConfiguration) (bool, error) {
	f.t.Helper()
	policy := f.live()
	if policy == nil {
		return apply.Child(f.t.Context(), f.client, f.owner, "NetworkPolicy", nil, nil, desired)
	}
	owned, err := networkingac.ExtractNetworkPolicy(policy, v1alpha1.FieldManager)
	if err != nil {
		f.t.Fatal(err)
	}
	return apply.Child(f.t.Context(), f.client, f.owner, "NetworkPolicy", policy, owned, desired)
}

func (f *fixture) mustWrite(want bool, desired *networkingac.NetworkPolicyApplyConfiguration) *networkingv1.NetworkPolicy {
	f.t.Helper()
	before := len(f.writes)
	wrote, err := f.child(desired)
	if err != nil {
		f.t.Fatal(err)
	}
	if wrote != want || (len(f.writes) > before) != want {
		f.t.Fatalf("wrote %t with requests %v, want %t", wrote, f.writes[before:], want)
	}
	return f.live()
}

func TestAChildIsWrittenOnceAndLeftAloneAfterwards(t *testing.T) {
	f := newFixture(t)
	created := f.mustWrite(true, f.intent(2575))
	if !metav1.IsControlledBy(created, f.owner) || created.Spec.Ingress[0].Ports[0].Port.IntValue() != 2575 {
		t.Errorf("created %+v", created)
	}
	for range 3 {
		f.mustWrite(false, f.intent(2575))
	}
	if again := f.live(); again.ResourceVersion != created.ResourceVersion {
		t.Errorf("version %s has become %s", created.ResourceVersion, again.ResourceVersion)
	}
	changed := f.mustWrite(true, f.intent(2576))
	if len(changed.Spec.Ingress) != 1 || changed.Spec.Ingress[0].Ports[0].Port.IntValue() != 2576 {
		t.Errorf("changed to %+v", changed.Spec.Ingress)
	}
	f.mustWrite(false, f.intent(2576))
}

func TestWhatTheIntentNoLongerSaysIsTakenBack(t *testing.T) {
	f := newFixture(t)
	f.mustWrite(true, f.intent(2575).WithLabels(map[string]string{"lab": "pathology"}))
	policy := f.mustWrite(true, f.intent(2575))
	if _, found := policy.Labels["lab"]; found {
		t.Errorf("labels are %v", policy.Labels)
	}
}

func TestDriftComesBack(t *testing.T) {
	drifts := map[string]func(f *fixture, policy *networkingv1.NetworkPolicy) error{
		"a label that was removed by hand": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			delete(policy.Labels, v1alpha1.ManagedByLabel)
			return f.client.Update(f.t.Context(), policy, client.FieldOwner("kubectl-edit"))
		},
		"a label that was changed by hand": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			policy.Labels[v1alpha1.ManagedByLabel] = "somebody"
			return f.client.Update(f.t.Context(), policy, client.FieldOwner("kubectl-edit"))
		},
		"a rule that another manager added with force": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			open := networkingac.NetworkPolicy(policy.Name, policy.Namespace).WithSpec(networkingac.NetworkPolicySpec().
				WithIngress(networkingac.NetworkPolicyIngressRule()))
			return f.client.Apply(f.t.Context(), open, client.FieldOwner("argocd"), client.ForceOwnership)
		},
		"a rule that was added by hand": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			policy.Spec.Ingress = append(policy.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
			return f.client.Update(f.t.Context(), policy, client.FieldOwner("kubectl-edit"))
		},
		"a direction that the intent does not speak of": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			policy.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
			return f.client.Update(f.t.Context(), policy, client.FieldOwner("kubectl-edit"))
		},
		"a direction that two others have added": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			open := networkingac.NetworkPolicy(policy.Name, policy.Namespace).WithSpec(networkingac.NetworkPolicySpec().
				WithEgress(networkingac.NetworkPolicyEgressRule()))
			return errors.Join(f.client.Apply(f.t.Context(), open, client.FieldOwner("argocd")), f.client.Apply(f.t.Context(), open, client.FieldOwner("flux")))
		},
		"a selector that was emptied by hand": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			policy.Spec.PodSelector.MatchLabels = map[string]string{"app": "nobody"}
			return f.client.Update(f.t.Context(), policy, client.FieldOwner("kubectl-edit"))
		},
		"ownership that another manager shares": func(f *fixture, _ *networkingv1.NetworkPolicy) error {
			return f.client.Apply(f.t.Context(), f.intent(2575), client.FieldOwner("argocd"), client.ForceOwnership)
		},
		"the whole child": func(f *fixture, policy *networkingv1.NetworkPolicy) error {
			return f.client.Delete(f.t.Context(), policy)
		},
	}
	for name, drift := range drifts {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			want := f.mustWrite(true, f.intent(2575))
			if err := drift(f, f.live()); err != nil {
				t.Fatal(err)
			}
			if _, err := f.child(f.intent(2575)); err != nil {
				t.Fatal(err)
			}
			got := f.live()
			if diff := cmp.Diff(want.Spec, got.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.Labels, got.Labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			f.mustWrite(false, f.intent(2575))
		})
	}
}

func TestAnObjectOfSomebodyElseIsNeverTouched(t *testing.T) {
	f := newFixture(t)
	other := f.ownerNamed(f.owner.Namespace, "other")
	owners := map[string][]metav1.OwnerReference{
		"without owner":         nil,
		"of another controller": {{APIVersion: "v1", Kind: "ConfigMap", Name: other.Name, UID: other.UID, Controller: new(true)}},
		"that we own but do not control": {
			{APIVersion: "v1", Kind: "ConfigMap", Name: f.owner.Name, UID: f.owner.UID},
		},
	}
	for name, references := range owners {
		t.Run(name, func(t *testing.T) {
			foreign := &networkingv1.NetworkPolicy{
				ObjectMeta: metav1.ObjectMeta{Namespace: f.owner.Namespace, Name: "lis", OwnerReferences: references},
				Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
			}
			if err := f.client.Create(t.Context(), foreign); err != nil {
				t.Fatal(err)
			}
			before := f.live()
			f.writes = nil
			wrote, err := f.child(f.intent(2575))
			var notOurs *apply.NotOursError
			if wrote || !errors.As(err, &notOurs) || notOurs.Object != "NetworkPolicy lis" || !strings.Contains(err.Error(), "rename or delete it") {
				t.Errorf("wrote %t, %v", wrote, err)
			}
			if err := apply.Delete(t.Context(), f.client, f.owner, before); err != nil {
				t.Errorf("delete: %v", err)
			}
			if len(f.writes) > 0 {
				t.Errorf("requests %v", f.writes)
			}
			if diff := cmp.Diff(before, f.live()); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
			if err := f.client.Delete(t.Context(), before); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAnObjectOfSomebodyElseThatTheCacheDoesNotHaveYetIsNotTakenByForce(t *testing.T) {
	f := newFixture(t)
	foreign := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.owner.Namespace, Name: "lis"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		},
	}
	if err := f.client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	before := f.live()
	if wrote, err := apply.Child(t.Context(), f.client, f.owner, "NetworkPolicy", nil, nil, f.intent(2575)); wrote || !apierrors.IsConflict(err) {
		t.Errorf("wrote %t, %v; want a conflict", wrote, err)
	}
	if diff := cmp.Diff(before, f.live()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestAWriteThatArrivedThoughItSeemedToFailIsNoConflict(t *testing.T) {
	f := newFixture(t)
	f.mustWrite(true, f.intent(2575))
	if _, err := apply.Child(t.Context(), f.client, f.owner, "NetworkPolicy", nil, nil, f.intent(2576)); err != nil {
		t.Errorf("our own object is in the way: %v", err)
	}
	f.mustWrite(false, f.intent(2576))
}

func TestDeleteTakesWhatWasReadAndNothingElse(t *testing.T) {
	t.Run("as it was read", func(t *testing.T) {
		f := newFixture(t)
		read := f.mustWrite(true, f.intent(2575))
		if err := apply.Delete(t.Context(), f.client, f.owner, read); err != nil || f.live() != nil {
			t.Errorf("%v; left is %v", err, f.live())
		}
		if err := apply.Delete(t.Context(), f.client, f.owner, read); err != nil {
			t.Errorf("gone already: %v", err)
		}
	})
	t.Run("not if it has changed since", func(t *testing.T) {
		f := newFixture(t)
		read := f.mustWrite(true, f.intent(2575))
		f.mustWrite(true, f.intent(2576))
		if err := apply.Delete(t.Context(), f.client, f.owner, read); !apierrors.IsConflict(err) || f.live() == nil {
			t.Errorf("got %v, want a conflict; left is %v", err, f.live())
		}
	})
	t.Run("not another object of the same name", func(t *testing.T) {
		f := newFixture(t)
		read := f.mustWrite(true, f.intent(2575))
		if err := f.client.Delete(t.Context(), f.live()); err != nil {
			t.Fatal(err)
		}
		f.mustWrite(true, f.intent(2575))
		if err := apply.Delete(t.Context(), f.client, f.owner, read); !apierrors.IsConflict(err) || f.live() == nil {
			t.Errorf("got %v, want a conflict; left is %v", err, f.live())
		}
	})
	t.Run("not what is on its way out", func(t *testing.T) {
		f := newFixture(t)
		read := f.mustWrite(true, f.intent(2575))
		read.Finalizers = []string{"example.com/wait"}
		if err := f.client.Update(t.Context(), read); err != nil {
			t.Fatal(err)
		}
		if err := f.client.Delete(t.Context(), f.live()); err != nil {
			t.Fatal(err)
		}
		f.writes = nil
		leaving := f.live()
		if err := apply.Delete(t.Context(), f.client, f.owner, leaving); err != nil || len(f.writes) > 0 {
			t.Errorf("%v with requests %v", err, f.writes)
		}
		leaving.Finalizers = nil
		if err := f.client.Update(t.Context(), leaving); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAFailedWriteNamesTheChild(t *testing.T) {
	f := newFixture(t)
	wrote, err := f.child(f.intent(70000))
	if wrote || err == nil || !strings.HasPrefix(err.Error(), "apply NetworkPolicy: ") || !apierrors.IsInvalid(err) {
		t.Errorf("wrote %t, %v", wrote, err)
	}
}

func TestSameComparesFieldsAndNotForms(t *testing.T) {
	policy := func() *networkingac.NetworkPolicyApplyConfiguration {
		return networkingac.NetworkPolicy("lis", "pathology")
	}
	tests := map[string]struct {
		a, b runtime.ApplyConfiguration
		want bool
	}{
		"equal":                                 {policy(), policy(), true},
		"a label more":                          {policy(), policy().WithLabels(map[string]string{"a": "b"}), false},
		"an empty list and none":                {policy().WithSpec(networkingac.NetworkPolicySpec().WithEgress()), policy().WithSpec(networkingac.NetworkPolicySpec()), true},
		"a number and the same number as text":  {ports(intstr.FromInt(80)), ports(intstr.FromString("80")), false},
		"rules in another order, which is kept": {ports(intstr.FromInt(80), intstr.FromInt(81)), ports(intstr.FromInt(81), intstr.FromInt(80)), false},
		"none at all":                           {(*networkingac.NetworkPolicyApplyConfiguration)(nil), policy(), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := apply.Same(test.a, test.b); err != nil || got != test.want {
				t.Errorf("got %t, %v; want %t", got, err, test.want)
			}
		})
	}
}

func ports(numbers ...intstr.IntOrString) *networkingac.NetworkPolicyApplyConfiguration {
	rule := networkingac.NetworkPolicyIngressRule()
	for _, number := range numbers {
		rule.WithPorts(networkingac.NetworkPolicyPort().WithPort(number))
	}
	return networkingac.NetworkPolicy("lis", "pathology").WithSpec(networkingac.NetworkPolicySpec().WithIngress(rule))
}
