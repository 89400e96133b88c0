// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
