// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

// Live gives the policy that keeps airlock on a pod as it was made: its containers, its labels, and debug containers away from its files and its processes. It has
// no parameter and compares with the old object alone, so that it holds when the profile is another by now or gone. It holds in every namespace: a pod outlives
// the governance of its namespace, and a label costs nothing to look for.
//
// Writes of a status and bindings are among what it looks at, as they can change labels.
func Live(c Config) policy.Validating {
	updated := "request.operation != 'UPDATE' || "
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(changes, "", "v1", "pods"),
			policy.Rule(updates, "", "v1", "pods/status", "pods/ephemeralcontainers", "pods/resize"),
			policy.Rule(creates, "", "v1", "pods/binding", "bindings"),
		)).
		WithMatchConditions(policy.Condition("labelled", expression(
			"[object, oldObject].exists(o, o != null && o.?metadata.?labels.orValue({}).exists(k, k == '%WORKLOAD%' || k == '%HASH%'))"))).
		WithVariables(
			policy.Variable("new", "dyn(object).spec.?initContainers.orValue([])"),
			policy.Variable("debug", "dyn(object).spec.?ephemeralContainers.orValue([])"),
		).
		WithValidations(
			policy.Forbid(expression("!(request.resource.resource == 'bindings' || request.?subResource.orValue('') == 'binding')"),
				"a binding cannot set the labels labguard.dev/workload and labguard.dev/airlock"),
			policy.Forbid(expression("request.operation != 'CREATE' || request.resource.resource != 'pods' || dyn(object).?spec.?initContainers[?0].?name.orValue('') == '%AIRLOCK%'"),
				"the labels labguard.dev/workload and labguard.dev/airlock are on pods with the sidecar airlock only"),
			policy.Forbid(updated+expression("['%WORKLOAD%', '%HASH%'].all(k, object.metadata.?labels[?k] == oldObject.metadata.?labels[?k])"),
				"the labels labguard.dev/workload and labguard.dev/airlock never change on a live pod"),
			policy.Forbid(updated+expression("variables.new.filter(c, c.name in ['%AIRLOCK%', '%REDIRECT%']) == dyn(oldObject).spec.?initContainers.orValue([]).filter(c, c.name in ['%AIRLOCK%', '%REDIRECT%'])"),
				"the sidecar airlock cannot change on a live pod; a new pod gets the present one"),
			policy.Forbid(updated+expression(debugApart),
				"a debug container cannot mount volumes whose names begin with labguard-, run as the user 64000 or target the sidecar airlock"),
		)
	return policy.Denying(LiveName, c.Anchor, spec)
}

// debugApart is true if no new debug container comes near airlock.
const debugApart = `variables.debug.all(c, dyn(oldObject).spec.?ephemeralContainers.orValue([]).exists(o, o.name == c.name)
  || (c.?volumeMounts.orValue([]).all(m, !m.name.startsWith('%PREFIX%'))
    && c.?volumeDevices.orValue([]).all(d, !d.name.startsWith('%PREFIX%'))
    && c.?env.orValue([]).all(e, !e.?valueFrom.?fileKeyRef.?volumeName.orValue('').startsWith('%PREFIX%'))
    && !(c.?targetContainerName.orValue('') in ['%AIRLOCK%', '%REDIRECT%'])
    && c.?securityContext.?runAsUser.orValue(0) != %UID%))`

// Self gives the policy that holds labguard itself to what it does with pods: annotations of its own and its scheduling gate, whatever its role allows. The right to
// patch pods is otherwise the right to run any image. Of Secrets it may take away its own.
func Self(c Config) policy.Validating {
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(changes, "", "v1", "pods", "pods/ephemeralcontainers", "pods/resize"),
			policy.Rule([]admissionv1.OperationType{admissionv1.Delete}, "", "v1", "secrets"),
		)).
		WithMatchConditions(policy.Condition("labguard", c.isLabguard())).
		WithValidations(
			policy.Forbid("request.resource.resource != 'pods' || (request.operation == 'UPDATE' && request.?subResource.orValue('') == '')",
				"labguard changes pods and nothing below them, and makes none"),
			policy.Forbid(onUpdate(specKept), "labguard changes nothing of a pod's spec but its scheduling gate"),
			policy.Forbid(onUpdate(metadataKept), "labguard changes no metadata of a pod but annotations of labguard.dev"),
			policy.Forbid(expression("request.resource.resource != 'secrets' || (oldObject != null && oldObject.metadata.name.startsWith('%PREFIX%'))"),
				"labguard deletes no Secret but its own"),
		)
	return policy.Denying(SelfName, c.Anchor, spec)
}

func onUpdate(rule string) string {
	return "request.operation != 'UPDATE' || request.resource.resource != 'pods' || (" + rule + ")"
}

var specKept = `dyn(object).spec.all(k, k == 'schedulingGates' || (k in dyn(oldObject).spec && dyn(object).spec[k] == dyn(oldObject).spec[k]))
  && dyn(oldObject).spec.all(k, k == 'schedulingGates' || k in dyn(object).spec)
  && dyn(object).spec.?schedulingGates.orValue([]).filter(g, g.name != ` + gateName + `) == dyn(oldObject).spec.?schedulingGates.orValue([]).filter(g, g.name != ` + gateName + `)`

var gateName = policy.Quote(v1alpha1.SchedulingGate)

const metadataKept = `['labels', 'ownerReferences', 'finalizers'].all(k, dyn(object).metadata[?k] == dyn(oldObject).metadata[?k])
  && object.metadata.?annotations.orValue({}).all(k, k.startsWith('labguard.dev/') || oldObject.metadata.?annotations[?k] == object.metadata.?annotations[?k])
  && oldObject.metadata.?annotations.orValue({}).all(k, k.startsWith('labguard.dev/') || k in object.metadata.?annotations.orValue({}))`

// Guards are the policies that refuse, in the order in which they are to be written: what protects a Secret before what lets a pod have it.
func Guards(c Config) []policy.Validating {
	return []policy.Validating{Profiles(c), Readers(c), Reserved(c), Live(c), Self(c), Issuers(c), Backstop(c)}
}
