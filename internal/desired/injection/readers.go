// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/internal/desired/policy"
)

// Readers gives the policy that keeps the pods of governed namespaces from reading labguard's Secrets and ConfigMaps, but for the sidecar airlock. Pod templates are not looked at:
// their pods are. It stands apart from Reserved because a pod is made far more often than what Reserved looks at, and the API server evaluates every rule of a policy that matches.
func Readers(c Config) policy.Validating {
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(creates, "", "v1", "pods"),
			policy.Rule(updates, "", "v1", "pods/ephemeralcontainers"),
		)).
		WithMatchConditions(c.governed(), policy.Condition("not-labguard", "!("+c.isLabguard()+")"), notCollected()).
		WithVariables(
			policy.Variable("debug", "request.?subResource.orValue('') == 'ephemeralcontainers'"),
			policy.Variable("containers", `object == null ? [] : variables.debug ? dyn(object).spec.?ephemeralContainers.orValue([]) :
  dyn(object).spec.?containers.orValue([]) + dyn(object).spec.?initContainers.orValue([])`),
			policy.Variable("volumes", expression(`object == null || variables.debug ? [] :
  dyn(object).spec.?volumes.orValue([]).filter(v, !(`+c.own()+`))`)),
		).
		WithValidations(
			policy.Forbid(expression("variables.volumes.all(v, "+volumeApart+")"), podReads),
			policy.Forbid(expression("variables.containers.all(c, "+containerApart+")"), podReads),
			policy.Forbid(expression("object == null || dyn(object).spec.?imagePullSecrets.orValue([]).all(s, !s.?name.orValue('').startsWith('%PREFIX%'))"), podReads),
		)
	return policy.Denying(ReadersName, c.Anchor, spec)
}

// own is true if the volume v is that of airlock in a pod that airlock was added to. It is a projected volume: the backstop looks at no other kind, and the pod may have the label of
// a workload that does not exist, of which no profile says anything. Without a profile it cannot be said here that it is as it should be: that is for the
// backstop, which every pod with the label meets.
func (c Config) own() string {
	if c.KindMissing {
		return "false"
	}
	return `v.name == '%VOLUME%' && dyn(v).all(k, k in ['name', 'projected'])
    && ` + sources + `.all(s, !s.?secret.?name.orValue('').startsWith('%PREFIX%') || s.?secret.?name.orValue('').matches('-identity-[0-9a-f]{8}$')) && '%WORKLOAD%' in dyn(object).metadata.?labels.orValue({})
    && dyn(object).spec.?initContainers[?0].?name.orValue('') == '%AIRLOCK%'`
}

const podReads = "Secrets and ConfigMaps whose names begin with labguard- are labguard's own: no pod may use them but the sidecar airlock that labguard adds"

// volumeApart is true if the volume v reads nothing of labguard's, whatever kind of volume it is.
var volumeApart = "[" + strings.Join([]string{
	"v.?secret.?secretName", "v.?configMap.?name", "v.?csi.?nodePublishSecretRef.?name", "v.?flexVolume.?secretRef.?name", "v.?azureFile.?secretName",
	"v.?cephfs.?secretRef.?name", "v.?cinder.?secretRef.?name", "v.?iscsi.?secretRef.?name", "v.?rbd.?secretRef.?name", "v.?scaleIO.?secretRef.?name",
	"v.?storageos.?secretRef.?name",
}, ", ") + `].all(n, !n.orValue('').startsWith('%PREFIX%'))
  && ` + sources + `.all(s, !s.?secret.?name.orValue('').startsWith('%PREFIX%') && !s.?configMap.?name.orValue('').startsWith('%PREFIX%'))`

// containerApart is true if the environment of the container c reads nothing of labguard's.
const containerApart = `c.?env.orValue([]).all(e, !e.?valueFrom.?secretKeyRef.?name.orValue('').startsWith('%PREFIX%')
    && !e.?valueFrom.?configMapKeyRef.?name.orValue('').startsWith('%PREFIX%'))
  && c.?envFrom.orValue([]).all(e, !e.?secretRef.?name.orValue('').startsWith('%PREFIX%') && !e.?configMapRef.?name.orValue('').startsWith('%PREFIX%'))`
