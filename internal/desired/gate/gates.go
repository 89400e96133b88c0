// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// GatesName is the name of the policy that keeps labguard's scheduling gate on pods, and of its binding.
const GatesName = "labguard-gates"

// Gates gives the policy that lets nobody but labguard take its scheduling gate off a pod, and its binding. The API server lets everybody who may edit a
// pod take gates off, and refuses to add any later. It holds in every namespace and needs no labguard; deleting the pod stays possible.
func Gates(config Config) (*admissionac.ValidatingAdmissionPolicyApplyConfiguration, *admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration) {
	rule := admissionac.NamedRuleWithOperations().WithOperations(admissionv1.Update).
		WithAPIGroups("").WithAPIVersions("v1").WithResources("pods").WithScope(admissionv1.AllScopes)
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(everywhere(rule)).
		WithMatchConditions(
			condition("not-labguard", "request.userInfo.username != "+quote(config.LabguardUser)),
			condition("taken-off", gateOn("oldObject")+" && !"+gateOn("object")),
		).
		WithValidations(admissionac.Validation().WithExpression("false").WithReason(metav1.StatusReasonForbidden).
			WithMessage("only labguard takes the gate " + v1alpha1.SchedulingGate + " off, when the image of the pod is fine; to run another image, delete the pod and create it anew"))
	policy := admissionac.ValidatingAdmissionPolicy(GatesName).
		WithLabels(config.labels()).WithOwnerReferences(config.owners()...).WithSpec(spec)
	binding := admissionac.ValidatingAdmissionPolicyBinding(GatesName).
		WithLabels(config.labels()).WithOwnerReferences(config.owners()...).
		WithSpec(admissionac.ValidatingAdmissionPolicyBindingSpec().WithPolicyName(GatesName).WithValidationActions(admissionv1.Deny))
	return policy, binding
}

func gateOn(object string) string {
	return object + ".spec.?schedulingGates.orValue([]).exists(g, g.name == " + quote(v1alpha1.SchedulingGate) + ")"
}
