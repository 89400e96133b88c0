// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
)

// Webhooks looks at labguard's own webhook configurations.
type Webhooks struct {
	// Reader answers from a cache of them.
	Reader client.Reader
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,verbs=get;list;watch

// Stands says whether the API server asks labguard, and refuses where labguard does not answer, before anybody runs a command in a pod of the namespace and, if
// changes is set, before anybody makes a pod there.
// That labguard has answered is shown by claims that were seen to arrive: nothing else notes them.
func (w Webhooks) Stands(ctx context.Context, namespace string, changes bool) (bool, error) {
	var list admissionv1.ValidatingWebhookConfigurationList
	err := w.Reader.List(ctx, &list, client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return false, fmt.Errorf("list webhook configurations: %w", err)
	}
	asks := func(operation admissionv1.OperationType, resource string) bool {
		return slices.ContainsFunc(list.Items, func(configuration admissionv1.ValidatingWebhookConfiguration) bool {
			return access.IsNumbered(configuration.Name) && slices.ContainsFunc(configuration.Webhooks, func(webhook admissionv1.ValidatingWebhook) bool {
				return guards(&webhook, namespace) && slices.ContainsFunc(webhook.Rules, func(rule admissionv1.RuleWithOperations) bool {
					return slices.Contains(rule.Operations, operation) && slices.Contains(rule.Resources, resource)
				})
			})
		})
	}
	return asks(admissionv1.Connect, "pods/exec") && (!changes || asks(admissionv1.Create, "pods")), nil
}

func guards(webhook *admissionv1.ValidatingWebhook, namespace string) bool {
	refuses := webhook.FailurePolicy != nil && *webhook.FailurePolicy == admissionv1.Fail && len(webhook.ClientConfig.CABundle) > 0
	return refuses && selects(webhook.NamespaceSelector, namespace)
}

// selects says whether a selector takes the namespace by its name alone, as labguard's do.
func selects(selector *metav1.LabelSelector, namespace string) bool {
	return selector != nil && slices.ContainsFunc(selector.MatchExpressions, func(expression metav1.LabelSelectorRequirement) bool {
		return expression.Key == corev1.LabelMetadataName && expression.Operator == metav1.LabelSelectorOpIn && slices.Contains(expression.Values, namespace)
	})
}
