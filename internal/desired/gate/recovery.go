// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

// RecoveryName is the name of the policy that guards recovery mode, and of its binding.
const RecoveryName = "labguard-recovery"

// absent stands for a label that is not there. It is no valid label value, so it cannot be written; "" can, and would open the
// gate as any other value does.
const absent = "-"

// Recovery gives the policy that says who may put a namespace into recovery mode, and its binding: a person with the verb approve
// on labworkloads in that namespace sets the label and changes it; no ServiceAccount does, since a GitOps tool has every right and
// tenants write what it applies. Only labguard removes the label, so that what came in is recorded first; a person ends recovery
// by a time in the past. The expression language has no clock: that the time is at most 24 hours ahead is labguard's to enforce.
//
// The policy needs no parameters and no labguard, so it holds while labguard is down.
func Recovery(config Config) (*admissionac.ValidatingAdmissionPolicyApplyConfiguration, *admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration) {
	labguard := "request.userInfo.username == " + quote(config.LabguardUser)
	value := fmt.Sprintf("object.metadata.?labels[?'%s'].orValue('%s')", v1alpha1.RecoveryLabel, absent)
	before := fmt.Sprintf("(oldObject == null ? '%s' : oldObject.metadata.?labels[?'%s'].orValue('%s'))", absent, v1alpha1.RecoveryLabel, absent)
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(everywhere(namedRule("", "v1", "namespaces", "namespaces/finalize", "namespaces/status"))).
		WithMatchConditions(condition("touched", value+" != "+before)).
		WithValidations(
			recoveryRule(labguard+" || "+value+" != '"+absent+"'",
				"only labguard removes the label "+v1alpha1.RecoveryLabel+", after it has recorded what came in; "+
					"to end recovery now, set the label to a time in the past, such as 1000000000"),
			recoveryRule(labguard+" || !request.userInfo.username.startsWith('system:serviceaccount:')",
				"a ServiceAccount cannot set the label "+v1alpha1.RecoveryLabel+"; a person with the verb approve on labworkloads.labguard.dev sets it by hand"),
			recoveryRule(labguard+" || request.userInfo.username.startsWith('system:serviceaccount:') || authorizer.group('"+
				v1alpha1.GroupVersion.Group+"').resource('labworkloads').namespace(request.name).check('approve').allowed()",
				"the label "+v1alpha1.RecoveryLabel+" needs the verb approve on labworkloads.labguard.dev in this namespace"),
			recoveryRule(value+" == '"+absent+"' || "+value+".matches('^[0-9]{10}$')",
				"the label "+v1alpha1.RecoveryLabel+" must be a time in unix seconds, 10 digits, such as the output of: date -d '+4 hours' +%s"),
		)
	policy := admissionac.ValidatingAdmissionPolicy(RecoveryName).
		WithLabels(config.labels()).WithOwnerReferences(config.owners()...).WithSpec(spec)
	binding := admissionac.ValidatingAdmissionPolicyBinding(RecoveryName).
		WithLabels(config.labels()).WithOwnerReferences(config.owners()...).
		WithSpec(admissionac.ValidatingAdmissionPolicyBindingSpec().
			WithPolicyName(RecoveryName).WithValidationActions(admissionv1.Deny))
	return policy, binding
}

// recoveryRule is one rule with what the person reads who breaks it.
func recoveryRule(expression, message string) *admissionac.ValidationApplyConfiguration {
	return policy.Forbid(expression, message)
}
