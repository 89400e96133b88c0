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
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

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

// isGoverned is the condition of the policy for some namespaces.
func isGoverned(namespaces []string) *admissionac.MatchConditionApplyConfiguration {
	return policy.Condition(governed, inNamespaces+policy.QuoteAll(namespaces))
}

const inNamespaces = "request.?namespace.orValue('') in "

// Guarded reads from a policy about people which namespaces it guards. It is nothing for any other policy.
func Guarded(guard *admissionv1.ValidatingAdmissionPolicy) []string {
	if !IsNumbered(guard.Name) {
		return nil
	}
	var found []string
	for _, condition := range guard.Spec.MatchConditions {
		list, isList := strings.CutPrefix(condition.Expression, inNamespaces)
		if condition.Name != governed || !isList {
			continue
		}
		for name := range strings.SplitSeq(strings.Trim(list, "[]"), ", ") {
			found = append(found, strings.Trim(name, "'")) // no name of a namespace has a quote in it
		}
	}
	return found
}
