// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/gate"
)

// deadEndpoint refuses connections at once.
const deadEndpoint = "https://127.0.0.1:1"

var forced = metav1.ApplyOptions{FieldManager: v1alpha1.FieldManager, Force: true}

// config is that of a labguard that knows of the lab's namespace only.
func (l lab) config(url string) gate.Config {
	return gate.Config{
		Namespaces:       []string{l.namespace},
		GitOpsNamespaces: []string{"flux-system", "argocd"},
		LabguardUser:     labguardUser,
		Endpoint:         gate.Endpoint{URL: url},
		ArgoRollouts:     true,
	}
}

// kill installs the webhooks of a labguard that is down, and returns when they are in effect.
func (l lab) kill() {
	l.Helper()
	l.installWebhooks(l.config(deadEndpoint))
	l.eventually("the gate closes", func(ctx context.Context) (bool, error) {
		return l.probe(ctx) != nil, nil
	})
}

// probe asks for a bare pod without creating one.
func (l lab) probe(ctx context.Context) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "registry.example/probe"}}},
	}
	_, err := l.typed("").CoreV1().Pods(l.namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// installWebhooks applies the webhook configurations under names of the lab's own.
func (l lab) installWebhooks(config gate.Config) {
	l.Helper()
	client := l.typed("").AdmissionregistrationV1()
	for _, mutating := range gate.MutatingWebhooks(config) {
		name := l.own(mutating.Name)
		_, err := client.MutatingWebhookConfigurations().Apply(l.Context(), mutating, forced)
		l.must(err)
		l.afterwards(func(ctx context.Context) error {
			return client.MutatingWebhookConfigurations().Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
	for _, validating := range gate.ValidatingWebhooks(config) {
		name := l.own(validating.Name)
		_, err := client.ValidatingWebhookConfigurations().Apply(l.Context(), validating, forced)
		l.must(err)
		l.afterwards(func(ctx context.Context) error {
			return client.ValidatingWebhookConfigurations().Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
}

// protect installs the policy that heals annotations, and returns when it is in effect.
func (l lab) protect() {
	l.Helper()
	client := l.typed("").AdmissionregistrationV1()
	policy, binding := gate.Marks(l.config(deadEndpoint))
	l.own(binding.Spec.PolicyName)
	policyName, bindingName := l.own(policy.Name), l.own(binding.Name)
	binding.Spec.WithMatchResources(l.here())
	_, err := client.MutatingAdmissionPolicies().Apply(l.Context(), policy, forced)
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return client.MutatingAdmissionPolicies().Delete(ctx, policyName, metav1.DeleteOptions{})
	})
	_, err = client.MutatingAdmissionPolicyBindings().Apply(l.Context(), binding, forced)
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return client.MutatingAdmissionPolicyBindings().Delete(ctx, bindingName, metav1.DeleteOptions{})
	})
	l.eventually("the policy heals", func(ctx context.Context) (bool, error) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe", Annotations: map[string]string{v1alpha1.AdmittedAnnotation: "forged"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "registry.example/probe"}}},
		}
		pod, err := l.typed("").CoreV1().Pods(l.namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && pod.Annotations[v1alpha1.AdmittedAnnotation] == "", err
	})
}

// guard installs the policy of recovery mode for the namespaces, and returns when it is in effect.
func (l lab) guard(namespaces ...string) {
	l.Helper()
	client := l.typed("").AdmissionregistrationV1()
	policy, binding := gate.Recovery(l.config(deadEndpoint))
	l.own(binding.Spec.PolicyName)
	policyName, bindingName := l.own(policy.Name), l.own(binding.Name)
	binding.Spec.WithMatchResources(l.here(namespaces...))
	_, err := client.ValidatingAdmissionPolicies().Apply(l.Context(), policy, forced)
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return client.ValidatingAdmissionPolicies().Delete(ctx, policyName, metav1.DeleteOptions{})
	})
	_, err = client.ValidatingAdmissionPolicyBindings().Apply(l.Context(), binding, forced)
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return client.ValidatingAdmissionPolicyBindings().Delete(ctx, bindingName, metav1.DeleteOptions{})
	})
	l.eventually("the policy guards the label", func(ctx context.Context) (bool, error) {
		// The administrator holds every verb, so only the form of the value refuses.
		return l.setRecovery(ctx, "", l.namespace, `"soon"`, metav1.DryRunAll) != nil, nil
	})
}

// here selects the lab's namespace and others.
func (l lab) here(namespaces ...string) *admissionac.MatchResourcesApplyConfiguration {
	return admissionac.MatchResources().WithNamespaceSelector(metav1ac.LabelSelector().WithMatchExpressions(
		metav1ac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator(metav1.LabelSelectorOpIn).
			WithValues(slices.Concat(namespaces, []string{l.namespace})...)))
}

// own makes the name of a cluster-scoped object the lab's own and returns it.
func (l lab) own(name *string) string {
	*name += "." + l.namespace
	return *name
}

// afterwards deletes a cluster-scoped object when the test has ended.
func (l lab) afterwards(remove func(context.Context) error) {
	l.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := remove(ctx); err != nil && !apierrors.IsNotFound(err) {
			l.Errorf("clean up: %v", err)
		}
	})
}
