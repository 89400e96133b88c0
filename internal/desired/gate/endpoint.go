// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// namespaceName is the label that the API server keeps equal to the name of a namespace; nobody can change it.
const namespaceName = "kubernetes.io/metadata.name"

// namespaceSelector matches the named namespaces that are not in recovery. It is evaluated by the API server, so that recovery
// needs no labguard.
func namespaceSelector(namespaces []string) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchExpressions(
		metav1ac.LabelSelectorRequirement().WithKey(namespaceName).
			WithOperator(metav1.LabelSelectorOpIn).WithValues(namespaces...),
		metav1ac.LabelSelectorRequirement().WithKey(v1alpha1.RecoveryLabel).
			WithOperator(metav1.LabelSelectorOpDoesNotExist),
	)
}

// clientConfig says how the API server reaches one path of the webhooks.
func clientConfig(config Config, path string) *admissionac.WebhookClientConfigApplyConfiguration {
	client := admissionac.WebhookClientConfig()
	if len(config.CABundle) > 0 {
		client.WithCABundle(config.CABundle...)
	}
	endpoint := config.Endpoint
	if endpoint.URL != "" {
		return client.WithURL(strings.TrimSuffix(endpoint.URL, "/") + path)
	}
	service := admissionac.ServiceReference().
		WithNamespace(endpoint.ServiceNamespace).WithName(endpoint.ServiceName).WithPath(path)
	if endpoint.ServicePort != 0 {
		service.WithPort(endpoint.ServicePort)
	}
	return client.WithService(service)
}
