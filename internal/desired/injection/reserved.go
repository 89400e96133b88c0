// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/internal/desired/policy"
)

// Reserved gives the policy that keeps everybody but labguard from writing labguard's objects in governed namespaces, and everything but airlock from reading its Secrets: by a
// pod, an Ingress or a Gateway that names one, or a Certificate that writes to one. Labguard's are names that begin with labguard-, and what carries its label,
// as companion Services have names of their own. Certificates are not cert-manager's to write: it makes them of Ingresses that tenants write.
//
// The rules say who may write, never who asks: a request without a name (deletecollection) or an object that is on its way out must not become an
// error, which would keep a namespace from going away. Pod templates are not looked at: their pods are.
func Reserved(c Config) policy.Validating {
	is := func(resources ...string) string { return "request.resource.resource in " + policy.QuoteAll(resources) }
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(writes, "", "v1", "secrets", "configmaps", "services", "endpoints"),
			policy.Rule(writes, "networking.k8s.io", "v1", "networkpolicies"),
			policy.Rule(changes, "networking.k8s.io", "v1", "ingresses"),
			policy.Rule(changes, "gateway.networking.k8s.io", "v1", "gateways"),
			policy.Rule(writes, "discovery.k8s.io", "v1", "endpointslices"),
			policy.Rule(writes, "cert-manager.io", "v1", "certificates", "certificaterequests"),
			policy.Rule(creates, "", "v1", "pods"),
			policy.Rule(updates, "", "v1", "pods/ephemeralcontainers"),
		)).
		WithMatchConditions(c.governed(), policy.Condition("not-labguard", "!("+c.isLabguard()+")"), policy.Condition("not-collected", "!("+userIn(collectors)+")")).
		WithVariables(
			policy.Variable("pod", is("pods")),
			policy.Variable("found", "[object, oldObject].filter(o, o != null)"),
			policy.Variable("ours", expression(`variables.found.exists(o, o.?metadata.?name.orValue('').startsWith('%PREFIX%')
  || o.?metadata.?labels[?'%MANAGED%'].orValue('') == '%LABGUARD%')`)),
			policy.Variable("companion", expression(`variables.found.exists(o, o.?metadata.?labels[?'kubernetes.io/service-name'].orValue('').endsWith('%SUFFIX%'))`)),
			policy.Variable("containers", `object == null || !variables.pod ? [] : request.?subResource.orValue('') == 'ephemeralcontainers' ? dyn(object).spec.?ephemeralContainers.orValue([]) :
  dyn(object).spec.?containers.orValue([]) + dyn(object).spec.?initContainers.orValue([])`),
			policy.Variable("volumes", expression(`object == null || !variables.pod || request.?subResource.orValue('') != '' ? [] :
  dyn(object).spec.?volumes.orValue([]).filter(v, !(`+c.own()+`))`)),
		).
		WithValidations(
			policy.Forbid("variables.pod || !variables.ours"+
				" || ("+is("secrets", "certificaterequests")+" && "+c.isCertManager()+")"+
				" || ("+is("endpoints", "endpointslices")+" && "+userIn(endpointWriters)+")"+
				" || ("+is("services")+" && request.operation == 'UPDATE' && "+userIn(loadBalancers)+")",
				"names that begin with labguard-, and the label app.kubernetes.io/managed-by: labguard, are labguard's own in this namespace: choose another name"),
			policy.Forbid("!("+is("endpointslices")+") || !variables.companion || "+userIn(endpointWriters),
				"Services whose names end with -mtls are labguard's own in this namespace: nobody adds addresses to them"),
			policy.Forbid(expression("!("+is("certificates")+") || object == null || !dyn(object).?spec.?secretName.orValue('').startsWith('%PREFIX%')"),
				"Secrets whose names begin with labguard- are labguard's own: choose another secretName"),
			policy.Forbid(expression("!("+is("ingresses")+") || object == null || dyn(object).?spec.?tls.orValue([]).all(t, !t.?secretName.orValue('').startsWith('%PREFIX%'))"),
				"Secrets whose names begin with labguard- are labguard's own: no Ingress may serve them"),
			policy.Forbid(expression("!("+is("gateways")+") || object == null || dyn(object).?spec.?listeners.orValue([]).all(l, l.?tls.?certificateRefs.orValue([]).all(r, !r.?name.orValue('').startsWith('%PREFIX%')))"),
				"Secrets whose names begin with labguard- are labguard's own: no Gateway may serve them"),
			policy.Forbid(expression("variables.volumes.all(v, "+volumeApart+")"), podReads),
			policy.Forbid(expression("variables.containers.all(c, "+containerApart+")"), podReads),
			policy.Forbid(expression("!variables.pod || object == null || dyn(object).spec.?imagePullSecrets.orValue([]).all(s, !s.?name.orValue('').startsWith('%PREFIX%'))"), podReads),
		)
	return policy.Denying(ReservedName, c.Anchor, spec)
}

// own is true if the volume v is that of airlock in a pod that airlock was added to. It is a projected volume: the backstop looks at no other kind, and the pod may have the label of
// a workload that does not exist, of which no profile says anything. Without a profile it cannot be said here that it is as it should be: that is for the
// backstop, which every pod with the label meets.
func (c Config) own() string {
	if c.KindMissing {
		return "false"
	}
	return `v.name == '%VOLUME%' && dyn(v).all(k, k in ['name', 'projected']) && '%WORKLOAD%' in dyn(object).metadata.?labels.orValue({})
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

// Profiles gives the policy that lets labguard alone write AirlockProfiles, in every namespace, and nobody delete their kind by accident: pods come
// back without a sidecar, or not at all, once it is gone. The expression language cannot count profiles; an administrator who means it sets
// AllowDeletionAnnotation first. An uninstall takes this policy away before it comes to the kind.
func Profiles(c Config) policy.Validating {
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithMatchConstraints(policy.Everywhere(
			policy.Rule(writes, "labguard.dev", "*", "airlockprofiles"),
			policy.Rule([]admissionv1.OperationType{admissionv1.Delete}, "apiextensions.k8s.io", "v1", "customresourcedefinitions"),
		)).
		WithMatchConditions(policy.Condition("not-labguard", "!("+c.isLabguard()+")"), policy.Condition("not-collected", "!("+userIn(collectors)+")")).
		WithValidations(
			policy.Forbid("request.resource.resource != 'airlockprofiles'",
				"labguard alone writes AirlockProfiles: change the LabWorkload"),
			policy.Forbid("request.resource.resource != 'customresourcedefinitions' || oldObject == null || oldObject.metadata.name != "+policy.Quote(ProfileDefinition)+
				" || oldObject.metadata.?annotations[?"+policy.Quote(AllowDeletionAnnotation)+"].orValue('') == 'true'",
				"without AirlockProfiles no pod of a governed namespace can start: remove labguard first, or set the annotation "+AllowDeletionAnnotation+": \"true\" on the definition"),
		)
	return policy.Denying(ProfilesName, c.Anchor, spec)
}
