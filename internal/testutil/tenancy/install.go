// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tenancy

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Forced are the options with which labguard applies.
var Forced = metav1.ApplyOptions{FieldManager: v1alpha1.FieldManager, Force: true}

// Mutate installs a policy that changes objects, under names of the space's own.
func (s Space) Mutate(policy *admissionac.MutatingAdmissionPolicyApplyConfiguration, binding *admissionac.MutatingAdmissionPolicyBindingApplyConfiguration) {
	s.Helper()
	api := s.Typed("").AdmissionregistrationV1()
	policyName := s.Own(policy.Name)
	_, err := api.MutatingAdmissionPolicies().Apply(s.Context(), policy, Forced)
	s.Must(err)
	s.Afterwards(func(ctx context.Context) error {
		return api.MutatingAdmissionPolicies().Delete(ctx, policyName, metav1.DeleteOptions{})
	})
	s.Own(binding.Spec.PolicyName)
	bindingName := s.Own(binding.Name)
	_, err = api.MutatingAdmissionPolicyBindings().Apply(s.Context(), binding, Forced)
	s.Must(err)
	s.Afterwards(func(ctx context.Context) error {
		return api.MutatingAdmissionPolicyBindings().Delete(ctx, bindingName, metav1.DeleteOptions{})
	})
}

// Validate installs a policy that refuses objects, under names of the space's own.
func (s Space) Validate(policy *admissionac.ValidatingAdmissionPolicyApplyConfiguration, bindings ...*admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration) {
	s.Helper()
	api := s.Typed("").AdmissionregistrationV1()
	policyName := s.Own(policy.Name)
	_, err := api.ValidatingAdmissionPolicies().Apply(s.Context(), policy, Forced)
	s.Must(err)
	s.Afterwards(func(ctx context.Context) error {
		return api.ValidatingAdmissionPolicies().Delete(ctx, policyName, metav1.DeleteOptions{})
	})
	for _, binding := range bindings {
		s.Own(binding.Spec.PolicyName)
		name := s.Own(binding.Name)
		_, err = api.ValidatingAdmissionPolicyBindings().Apply(s.Context(), binding, Forced)
		s.Must(err)
		s.Afterwards(func(ctx context.Context) error {
			return api.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
}

// Here selects the namespace of the space, and others.
func (s Space) Here(others ...string) *admissionac.MatchResourcesApplyConfiguration {
	return admissionac.MatchResources().WithNamespaceSelector(metav1ac.LabelSelector().WithMatchExpressions(
		metav1ac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator(metav1.LabelSelectorOpIn).
			WithValues(slices.Concat(others, []string{s.Namespace})...)))
}

// Own makes the name of a cluster-scoped object the space's own and returns it.
func (s Space) Own(name *string) string {
	*name += "." + s.Namespace
	return *name
}

// Afterwards deletes a cluster-scoped object when the test has ended.
func (s Space) Afterwards(remove func(context.Context) error) {
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := remove(ctx); err != nil && !apierrors.IsNotFound(err) {
			s.Errorf("clean up: %v", err)
		}
	})
}
