// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// deadEndpoint refuses connections at once.
const deadEndpoint = "https://127.0.0.1:1"

// config is that of a labguard that knows of the lab's namespace only.
func (l lab) config(url string) gate.Config {
	return gate.Config{
		Namespaces:       []string{l.Namespace},
		GitOpsNamespaces: []string{"flux-system", "argocd"},
		LabguardUser:     tenancy.Labguard,
		Endpoint:         gate.Endpoint{URL: url},
		ArgoRollouts:     true,
	}
}

// kill installs the webhooks of a labguard that is down, and returns when they are in effect.
func (l lab) kill() {
	l.Helper()
	l.installWebhooks(l.config(deadEndpoint))
	l.Eventually("the gate closes", func(ctx context.Context) (bool, error) {
		return l.probe(ctx) != nil, nil
	})
}

// probe asks for a bare pod without creating one.
func (l lab) probe(ctx context.Context) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "registry.example/probe"}}},
	}
	_, err := l.Typed("").CoreV1().Pods(l.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// installWebhooks applies the webhook configurations under names of the lab's own.
func (l lab) installWebhooks(config gate.Config) {
	l.Helper()
	client := l.Typed("").AdmissionregistrationV1()
	for _, mutating := range gate.MutatingWebhooks(config) {
		name := l.Own(mutating.Name)
		_, err := client.MutatingWebhookConfigurations().Apply(l.Context(), mutating, tenancy.Forced)
		l.Must(err)
		l.Afterwards(func(ctx context.Context) error {
			return client.MutatingWebhookConfigurations().Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
	for _, validating := range gate.ValidatingWebhooks(config) {
		name := l.Own(validating.Name)
		_, err := client.ValidatingWebhookConfigurations().Apply(l.Context(), validating, tenancy.Forced)
		l.Must(err)
		l.Afterwards(func(ctx context.Context) error {
			return client.ValidatingWebhookConfigurations().Delete(ctx, name, metav1.DeleteOptions{})
		})
	}
}

// protect installs the policy that heals annotations, and returns when it is in effect.
func (l lab) protect() {
	l.Helper()
	policy, binding := gate.Marks(l.config(deadEndpoint))
	binding.Spec.WithMatchResources(l.Here())
	l.Mutate(policy, binding)
	l.Eventually("the policy heals", func(ctx context.Context) (bool, error) {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "probe", Annotations: map[string]string{v1alpha1.AdmittedAnnotation: "forged"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "registry.example/probe"}}},
		}
		pod, err := l.Typed("").CoreV1().Pods(l.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && pod.Annotations[v1alpha1.AdmittedAnnotation] == "", err
	})
}

// guard installs the policy of recovery mode for the namespaces, and returns when it is in effect.
func (l lab) guard(namespaces ...string) {
	l.Helper()
	policy, binding := gate.Recovery(l.config(deadEndpoint))
	binding.Spec.WithMatchResources(l.Here(namespaces...))
	l.Validate(policy, binding)
	l.Eventually("the policy guards the label", func(ctx context.Context) (bool, error) {
		// The administrator holds every verb, so only the form of the value refuses.
		return l.setRecovery(ctx, "", l.Namespace, `"soon"`, metav1.DryRunAll) != nil, nil
	})
}
