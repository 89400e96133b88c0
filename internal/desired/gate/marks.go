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

// MarksName is the name of the policy that heals labguard's annotations, and of its binding.
const MarksName = "labguard-marks"

// marks are the annotations that only labguard writes.
var marks = []string{v1alpha1.AdmittedAnnotation, v1alpha1.AdmissionsAnnotation, v1alpha1.HoldAnnotation}

// Marks gives the policy that keeps labguard's annotations from everybody but labguard, and its binding. It puts back what the old
// object has and strips what it has not; it refuses nobody, so that `kubectl replace` and `rollout undo`, which drop or copy
// annotations without meaning it, go on. It holds in every namespace, since what is forged before a namespace is listed would be
// believed afterwards.
//
// Policies run before webhooks, and this one is not run again: labguard's own webhook writes the annotations into the request of
// a user.
func Marks(config Config) (*admissionac.MutatingAdmissionPolicyApplyConfiguration, *admissionac.MutatingAdmissionPolicyBindingApplyConfiguration) {
	spec := admissionac.MutatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithReinvocationPolicy(admissionv1.NeverReinvocationPolicy).
		WithMatchConstraints(everywhere(marked(config)...)).
		WithVariables(
			admissionac.Variable().WithName("keys").WithExpression(quoteAll(marks)),
			admissionac.Variable().WithName("new").WithExpression("object.metadata.?annotations.orValue({})"),
			admissionac.Variable().WithName("old").WithExpression("oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"),
		).
		WithMatchConditions(
			condition("not-labguard", "request.userInfo.username != "+quote(config.LabguardUser)),
			condition("not-a-copy", notACopy(config)),
			condition("changed", marksChanged),
		).
		WithMutations(admissionac.Mutation().
			WithPatchType(admissionv1.PatchTypeJSONPatch).
			WithJSONPatch(admissionac.JSONPatch().WithExpression(heal)))
	policy := admissionac.MutatingAdmissionPolicy(MarksName).
		WithLabels(config.labels()).WithOwnerReferences(config.owners()...).WithSpec(spec)
	binding := admissionac.MutatingAdmissionPolicyBinding(MarksName).
		WithLabels(config.labels()).WithOwnerReferences(config.owners()...).
		WithSpec(admissionac.MutatingAdmissionPolicyBindingSpec().WithPolicyName(MarksName))
	return policy, binding
}

// marksChanged is true if a mark was added, removed or given another value.
var marksChanged = quoteAll(marks) + `.exists(k,
  object.metadata.?annotations[?k] != (oldObject == null ? optional.none() : oldObject.metadata.?annotations[?k]))`

// heal is the JSON patch: what the old object has is put back, what it has not is taken off.
const heal = `(has(object.metadata.annotations) ? [] : [JSONPatch{op: "add", path: "/metadata/annotations", value: {}}])
  + variables.keys.filter(k, k in variables.old).map(k,
      JSONPatch{op: "add", path: "/metadata/annotations/" + jsonpatch.escapeKey(k), value: variables.old[k]})
  + variables.keys.filter(k, !(k in variables.old) && k in variables.new).map(k,
      JSONPatch{op: "remove", path: "/metadata/annotations/" + jsonpatch.escapeKey(k)})`

// notACopy lets a controller copy the annotations of a Deployment to the ReplicaSets that it owns. Stripped, they would be
// written again at every sync and the revision of the Deployment would get stuck. A tenant who writes such a ReplicaSet does not
// pass: the annotation would stay on it when the Deployment is deleted with `--cascade=orphan`. Jobs are no exception, as nobody
// writes theirs twice, and their annotations come from a template that tenants write.
func notACopy(config Config) string {
	copied := "(r.kind == 'Deployment' && r.apiVersion.startsWith('apps/'))"
	if config.ArgoRollouts {
		copied = "(" + copied + " || (r.kind == 'Rollout' && r.apiVersion.startsWith('argoproj.io/')))"
	}
	return fmt.Sprintf("!(request.resource.resource == 'replicasets'\n"+
		"  && object.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false) && %s)\n  && %s)", copied, outsider(config))
}

// marked are the resources whose annotations are protected. Writes of a status are among them, as they can change annotations
// (the API server keeps the spec only), and the binding of a pod, whose annotations go to the pod. Pods are protected whoever owns
// them: their annotations come from a template.
func marked(config Config) []*admissionac.NamedRuleWithOperationsApplyConfiguration {
	rules := []*admissionac.NamedRuleWithOperationsApplyConfiguration{
		namedRule("apps", "v1", withStatus("deployments", "statefulsets", "daemonsets", "replicasets")...),
		namedRule("batch", "v1", withStatus("jobs", "cronjobs")...),
		namedRule("", "v1", append(withStatus("replicationcontrollers", "pods"), "pods/binding", "bindings")...),
	}
	if config.ArgoRollouts {
		rules = append(rules, namedRule("argoproj.io", "v1alpha1", withStatus("rollouts")...))
	}
	return rules
}

func withStatus(resources ...string) []string {
	all := make([]string, 0, 2*len(resources))
	for _, resource := range resources {
		all = append(all, resource, resource+"/status")
	}
	return all
}

func everywhere(rules ...*admissionac.NamedRuleWithOperationsApplyConfiguration) *admissionac.MatchResourcesApplyConfiguration {
	return policy.Everywhere(rules...)
}

func namedRule(group, version string, resources ...string) *admissionac.NamedRuleWithOperationsApplyConfiguration {
	return policy.Rule([]admissionv1.OperationType{admissionv1.Create, admissionv1.Update}, group, version, resources...)
}
