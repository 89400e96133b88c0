// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Anchor names the cluster-scoped ClusterRole that owns every policy, so that its deletion removes them. Without a UID they have no owner.
type Anchor struct {
	Name string
	UID  types.UID
}

// Owners is the anchor, or nothing while it is not known: an owner reference without a UID is invalid. A namespaced owner would
// never be collected, a second owner would keep the objects alive.
func (a Anchor) Owners() []*metav1ac.OwnerReferenceApplyConfiguration {
	if a.UID == "" {
		return nil
	}
	anchor := metav1ac.OwnerReference().
		WithAPIVersion("rbac.authorization.k8s.io/v1").WithKind("ClusterRole").
		WithName(a.Name).WithUID(a.UID)
	return []*metav1ac.OwnerReferenceApplyConfiguration{anchor}
}

// Labels are on every object of labguard's.
func Labels() map[string]string {
	return map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}
}

// Quote gives a literal of the expression language.
func Quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(text) + "'"
}

// QuoteAll gives a list of literals.
func QuoteAll(texts []string) string {
	quoted := make([]string, 0, len(texts))
	for _, text := range texts {
		quoted = append(quoted, Quote(text))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Condition is one match condition.
func Condition(name, expression string) *admissionac.MatchConditionApplyConfiguration {
	return admissionac.MatchCondition().WithName(name).WithExpression(expression)
}

// Variable is one variable.
func Variable(name, expression string) *admissionac.VariableApplyConfiguration {
	return admissionac.Variable().WithName(name).WithExpression(expression)
}

// Forbid is one rule with what the person reads who breaks it.
func Forbid(expression, message string) *admissionac.ValidationApplyConfiguration {
	return admissionac.Validation().WithExpression(expression).WithMessage(message).WithReason(metav1.StatusReasonForbidden)
}

// Rule matches resources of one group and version in whatever scope.
func Rule(operations []admissionv1.OperationType, group, version string, resources ...string) *admissionac.NamedRuleWithOperationsApplyConfiguration {
	return admissionac.NamedRuleWithOperations().WithOperations(operations...).
		WithAPIGroups(group).WithAPIVersions(version).WithResources(resources...).WithScope(admissionv1.AllScopes)
}

// Everywhere matches resources in every namespace. It says what the API server would fill in: what is a field of nobody could be narrowed by
// anybody, and would differ from the intent for ever.
func Everywhere(rules ...*admissionac.NamedRuleWithOperationsApplyConfiguration) *admissionac.MatchResourcesApplyConfiguration {
	return admissionac.MatchResources().WithMatchPolicy(admissionv1.Equivalent).
		WithNamespaceSelector(metav1ac.LabelSelector()).WithObjectSelector(metav1ac.LabelSelector()).WithResourceRules(rules...)
}

// Validating is a policy that refuses, and its bindings.
type Validating struct {
	Policy   *admissionac.ValidatingAdmissionPolicyApplyConfiguration
	Bindings []*admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration
}

// Denying puts a policy that refuses together with its binding, which has the same name.
func Denying(name string, anchor Anchor, spec *admissionac.ValidatingAdmissionPolicySpecApplyConfiguration) Validating {
	return Validating{
		Policy:   admissionac.ValidatingAdmissionPolicy(name).WithLabels(Labels()).WithOwnerReferences(anchor.Owners()...).WithSpec(spec),
		Bindings: []*admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration{Bound(name, name, anchor)},
	}
}

// Bound is a binding by which a policy refuses.
func Bound(name, policyName string, anchor Anchor) *admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration {
	return admissionac.ValidatingAdmissionPolicyBinding(name).WithLabels(Labels()).WithOwnerReferences(anchor.Owners()...).
		WithSpec(admissionac.ValidatingAdmissionPolicyBindingSpec().WithPolicyName(policyName).WithValidationActions(admissionv1.Deny))
}
