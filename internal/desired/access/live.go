// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/desired/policy"
)

// governed is the name of the condition of the policy that names namespaces.
const governed = "governed"

// Listed reads from a webhook configuration about people in which namespaces what is asked. It is nothing for any other configuration.
func Listed(configuration *admissionv1.ValidatingWebhookConfiguration) []Namespace {
	if !IsNumbered(configuration.Name) {
		return nil
	}
	found := map[string]Namespace{}
	for i := range configuration.Webhooks {
		webhook := &configuration.Webhooks[i]
		var says Namespace
		switch strings.TrimSuffix(webhook.Name, suffix) {
		case accessName:
			says.Access = Enforced
		case accessName + told:
			says.Access = Told
		case changeName:
			says.Change = Enforced
		case changeName + told:
			says.Change = Told
		default:
			continue
		}
		for _, name := range named(webhook.NamespaceSelector) {
			says.Name = name
			found[name] = says.Stricter(found[name])
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
}

// named are the names of namespaces that a selector lists.
func named(selector *metav1.LabelSelector) []string {
	if selector == nil {
		return nil
	}
	for _, expression := range selector.MatchExpressions {
		if expression.Key == corev1.LabelMetadataName && expression.Operator == metav1.LabelSelectorOpIn {
			return expression.Values
		}
	}
	return nil
}

// Guards says whether a policy about people guards a namespace.
func Guards(guard *admissionv1.ValidatingAdmissionPolicy, namespace string) bool {
	return IsNumbered(guard.Name) && slices.ContainsFunc(guard.Spec.MatchConditions, func(condition admissionv1.MatchCondition) bool {
		return condition.Name == governed && strings.Contains(condition.Expression, policy.Quote(namespace))
	})
}
