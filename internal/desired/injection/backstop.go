// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

// Backstop gives the policy that lets a pod that a profile selects in only if its airlock is that of the profile in every field: of the current revision or
// of one before. It does not care who put it there. Nobody claims to be a pod of a LabWorkload whose profile does not select it: what carries the label of a workload,
// or the hash of one of its revisions, or reads its Secret, has to be selected. Labguard-reserved lets a volume that is called as the sidecar's is through by the label
// alone, whatever the label says. On a live pod it keeps the labels that the profile selects by as they are, and compares nothing
// with the profile: an upgrade of airlock would otherwise refuse every write to an old pod.
func Backstop(c Config) policy.Validating {
	created := "request.operation != 'CREATE' || "
	spec := admissionac.ValidatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithParamKind(profiles()).
		WithMatchConstraints(c.withProfiles(policy.Rule(changes, "", "v1", "pods"))).
		WithMatchConditions(
			policy.Condition("created-selected-or-relabelled", "request.operation == 'CREATE' ? ("+selects(labelsOf("object"))+" || "+expression(claimed)+
				") : "+labelsOf("object")+" != "+labelsOf("oldObject")),
		).
		WithVariables(backstopVariables(c)...).
		WithValidations(
			policy.Forbid("request.operation != 'UPDATE' || "+selects(labelsOf("object"))+" == "+selects(labelsOf("oldObject")),
				"labels that a LabWorkload selects by cannot change on a live pod: it would leave, or enter, without its sidecar; evict or delete the pod instead"),
			policy.Forbid(created+selects(labelsOf("object")),
				"the pod carries the label labguard.dev/workload or labguard.dev/airlock, or reads the Secret, of a LabWorkload that does not select it"),
			policy.Forbid(created+expression("size(variables.airlock) == 1 && variables.inits[0].name == '%AIRLOCK%'"),
				"the pod has no sidecar airlock as its first init container"),
			policy.Forbid(created+expression("variables.labels[?'%WORKLOAD%'] == optional.of(params.spec.workload) && size(variables.revision) > 0"),
				"the labels labguard.dev/workload and labguard.dev/airlock are not those of the LabWorkload that selects the pod; two LabWorkloads cannot select the same pod"),
			policy.Forbid(created+expression("variables.revision.exists(r, variables.airlock.all(a, "+sidecarIs+"))"),
				"the sidecar airlock is not as labguard's profile has it"),
			policy.Forbid(created+expression("variables.airlock.all(a, "+sidecarRunsAs+")"),
				"the sidecar airlock carries fields that labguard does not set"),
			policy.Forbid(created+expression("variables.revision.exists(r, size(r.?redirect.orValue([])) == 0 ? size(variables.redirect) == 0 : size(variables.redirect) == 1 && variables.inits[?1].?name == optional.of('%REDIRECT%') && variables.redirect.all(a, "+redirectIs+"))"),
				"the init container airlock-redirect is not as labguard's profile has it"),
			policy.Forbid(created+expression("variables.revision.exists(r, object.spec.?volumes.orValue([]).filter(v, v.name.startsWith('%PREFIX%')) == ["+c.volume()+"])"),
				"volumes whose names begin with labguard- are labguard's own"),
			policy.Forbid(created+expression(othersMountNothing),
				"only the sidecar airlock may mount volumes whose names begin with labguard-"),
			policy.Forbid(created+expression(othersRunAsOthers),
				"the user 64000 is the sidecar's alone: no other container, and no pod, may run as it"),
			policy.Forbid(created+expression(apart),
				"a pod with the sidecar airlock cannot have hostNetwork, hostPID, hostIPC, shareProcessNamespace or a hostPort"),
			policy.Forbid(created+"variables.revision.exists(r, r.?hostAliases.orValue([]).all(h, h in object.spec.?hostAliases.orValue([])))",
				"hostAliases of the profile are missing: the pod's own hostAliases use the same address"),
		)
	backstop := policy.Denying(BackstopName, c.Anchor, spec)
	backstop.Bindings = c.backstopBindings()
	return backstop
}

// backstopBindings share the pods among them, so that each write is evaluated once for each profile of its namespace: pods that are created with the label of a
// workload, live pods, and pods that are created without the label. With the label there has to be a profile: what a deleted one leaves behind, its Secret
// above all, is not there for whoever still knows its name. Live pods outlive their profiles. They are to be written in this order: the last one leaves to the
// others what it looks away from.
func (c Config) backstopBindings() []*admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration {
	labelled := func(is metav1.LabelSelectorOperator) *metav1ac.LabelSelectorApplyConfiguration {
		return metav1ac.LabelSelector().WithMatchExpressions(metav1ac.LabelSelectorRequirement().WithKey(v1alpha1.WorkloadLabel).WithOperator(is))
	}
	bound := func(name string, operations []admissionv1.OperationType, pods *metav1ac.LabelSelectorApplyConfiguration, none admissionv1.ParameterNotFoundActionType) *admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration {
		binding := policy.Bound(name, BackstopName, c.Anchor)
		binding.Spec.WithParamRef(ofTheNamespace(none)).WithMatchResources(policy.Everywhere(policy.Rule(operations, "", "v1", "pods")).WithObjectSelector(pods))
		return binding
	}
	return []*admissionac.ValidatingAdmissionPolicyBindingApplyConfiguration{
		bound(ClaimsName, creates, labelled(metav1.LabelSelectorOpExists), admissionv1.DenyAction),
		bound(RelabelledName, updates, metav1ac.LabelSelector(), admissionv1.AllowAction),
		bound(BackstopName, creates, labelled(metav1.LabelSelectorOpDoesNotExist), admissionv1.AllowAction),
	}
}

func backstopVariables(Config) []*admissionac.VariableApplyConfiguration {
	return []*admissionac.VariableApplyConfiguration{
		policy.Variable("labels", labelsOf("object")),
		policy.Variable("inits", "object.spec.?initContainers.orValue([])"),
		policy.Variable("airlock", expression("variables.inits.filter(c, c.name == '%AIRLOCK%')")),
		policy.Variable("redirect", expression("variables.inits.filter(c, c.name == '%REDIRECT%')")),
		policy.Variable("others", expression("object.spec.?containers.orValue([]) + variables.inits.filter(c, !(c.name in ['%AIRLOCK%', '%REDIRECT%']))")),
		policy.Variable("revision", expression("([dyn(params.spec.current)] + dyn(params.spec.?known.orValue([]))).filter(r, variables.labels[?'%HASH%'] == optional.of(r.hash))")),
		policy.Variable("requests", "['cpu', 'memory']"),
	}
}

// sidecarIs is true if the container a is that of the revision r, as far as it depends on the revision.
const sidecarIs = `a.?image.orValue('') == r.image
  && quantity(string(a.?resources.?requests.?memory.orValue('0'))).compareTo(quantity(string(r.memory))) == 0
  && quantity(string(a.?resources.?limits.?memory.orValue('0'))).compareTo(quantity(string(r.memory))) == 0`

// sidecarRunsAs is true if the container a has the fields that every airlock has, and no others. The mount of the token of the service account is let pass: the API server adds it
// where another policy or webhook has changed the pod. So is a processor limit.
const sidecarRunsAs = `dyn(a).all(k, k in ['name', 'image', 'imagePullPolicy', 'restartPolicy', 'args', 'terminationMessagePath', 'terminationMessagePolicy', 'env',
    'startupProbe', 'resources', 'securityContext', 'volumeMounts'])
  && a.?restartPolicy.orValue('') == 'Always' && a.?args.orValue([]) == ['run'] && a.?imagePullPolicy.orValue('') in ['IfNotPresent', 'Always']
  && ` + messageIs + `
  && a.?env.orValue([]) == [{'name': dyn('%HOSTIPS%'), 'valueFrom': dyn({'fieldRef': {'apiVersion': 'v1', 'fieldPath': 'status.hostIPs'}})}]
  && dyn(a.?startupProbe.orValue({})) == dyn({'httpGet': dyn({'path': dyn('/healthz'), 'port': dyn(%HEALTH%), 'scheme': dyn('HTTP')}),
       'periodSeconds': dyn(1), 'timeoutSeconds': dyn(1), 'successThreshold': dyn(1), 'failureThreshold': dyn(%FAILURES%)})
  && ` + resourcesAre + `
  && dyn(a.?securityContext.orValue({})) == dyn({'runAsNonRoot': dyn(true), 'runAsUser': dyn(%UID%), 'runAsGroup': dyn(%UID%), 'allowPrivilegeEscalation': dyn(false),
       'readOnlyRootFilesystem': dyn(true), 'capabilities': dyn({'drop': ['ALL']}), 'seccompProfile': dyn({'type': 'RuntimeDefault'})})
  && a.?volumeMounts.orValue([]) == ['%DIRECTORY%', '%TOKEN%'].map(p, {'name': dyn('%VOLUME%'), 'mountPath': dyn(p), 'readOnly': dyn(true)})`

// messageIs is true if the kubelet writes nothing over the files of airlock: it mounts a file of its own at this path.
const messageIs = `a.?terminationMessagePath.orValue('') == '/dev/termination-log' && a.?terminationMessagePolicy.orValue('') == 'File'`

// resourcesAre is true if nothing but processor and memory is asked for.
const resourcesAre = `dyn(a.?resources.orValue({})).all(k, k in ['requests', 'limits'])
  && dyn(a.?resources.?requests.orValue({})).all(k, k in ['cpu', 'memory']) && string(a.?resources.?requests.?cpu.orValue('')) == '%CPU%'
  && dyn(a.?resources.?limits.orValue({})).all(k, k in ['cpu', 'memory'])`

// redirectIs is true if the container a is the redirecting one of the revision r, and has nothing else.
const redirectIs = `dyn(a).all(k, k in ['name', 'image', 'imagePullPolicy', 'args', 'terminationMessagePath', 'terminationMessagePolicy', 'resources', 'securityContext', 'volumeMounts'])
  && ` + sidecarIs + `
  && a.?args.orValue([]) == ['redirect'] + r.redirect && a.?imagePullPolicy.orValue('') in ['IfNotPresent', 'Always']
  && ` + messageIs + `
  && ` + resourcesAre + `
  && dyn(a.?securityContext.orValue({})) == dyn({'runAsNonRoot': dyn(false), 'runAsUser': dyn(0), 'runAsGroup': dyn(0), 'allowPrivilegeEscalation': dyn(false),
       'readOnlyRootFilesystem': dyn(true), 'capabilities': dyn({'drop': ['ALL'], 'add': ['NET_ADMIN']}), 'seccompProfile': dyn({'type': 'RuntimeDefault'})})
  && a.?volumeMounts.orValue([]).all(m, m.mountPath == '%TOKEN%' && m.name.startsWith('kube-api-access-'))`

// volume is the volume of the revision r.
func (c Config) volume() string {
	bundles := `r.?bundles.orValue([]).map(b, dyn({'clusterTrustBundle': dyn({'name': dyn(b.name), 'optional': dyn(true), 'path': dyn(b.path)})}))`
	if !c.ClusterTrustBundles {
		bundles = `(size(r.?bundles.orValue([])) == 0 ? [] : [dyn({'configMap': dyn({'name': dyn('%TRUST%'), 'optional': dyn(true), 'items': dyn(r.bundles.map(b, {'key': b.name, 'path': b.path}))})})])`
	}
	return `dyn({'name': dyn('%VOLUME%'), 'projected': dyn({'defaultMode': dyn(%MODE%), 'sources': dyn([
    dyn({'secret': dyn({'name': dyn(r.secret), 'optional': dyn(true), 'items': dyn([{'key': 'tls.crt', 'path': '%CERTIFICATE%'}, {'key': 'tls.key', 'path': '%KEY%'}])})}),
    dyn({'configMap': dyn({'name': dyn(r.configMap), 'optional': dyn(true), 'items': dyn([{'key': '%CONFIGURATION%', 'path': '%CONFIGURATION%'}])})})
  ] + ` + bundles + `)})})`
}

const othersMountNothing = `variables.others.all(c, c.?volumeMounts.orValue([]).all(m, !m.name.startsWith('%PREFIX%'))
  && c.?volumeDevices.orValue([]).all(d, !d.name.startsWith('%PREFIX%'))
  && c.?env.orValue([]).all(e, !e.?valueFrom.?fileKeyRef.?volumeName.orValue('').startsWith('%PREFIX%')))`

const othersRunAsOthers = `object.spec.?securityContext.?runAsUser.orValue(0) != %UID%
  && variables.others.all(c, c.?securityContext.?runAsUser.orValue(0) != %UID%)`

const apart = `!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false)
  && !object.spec.?shareProcessNamespace.orValue(false)
  && variables.others.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))`

// inPlace is true of a pod that has the sidecar of the current revision in every field as Injection adds it, and no redirecting container, which it has the API server's token taken
// out of again.
func (c Config) inPlace() string {
	return expression(`[params.spec.current].all(r, size(r.?redirect.orValue([])) == 0
  && object.metadata.?labels[?'%WORKLOAD%'] == optional.of(params.spec.workload) && object.metadata.?labels[?'%HASH%'] == optional.of(r.hash)
  && object.spec.?initContainers.orValue([]).filter(a, a.name in ['%AIRLOCK%', '%REDIRECT%']).size() == 1
  && object.spec.?initContainers[?0].orValue({}).?name == optional.of('%AIRLOCK%')
  && [object.spec.initContainers[0]].all(a, ` + sidecarIs + ` && ` + sidecarRunsAs + `
    && a.?imagePullPolicy.orValue('') == (` + pullPolicy + `)
    && string(a.?resources.?limits.?cpu.orValue('')) == string(object.spec.?containers[?0].?resources.?limits.?cpu.orValue('')))
  && object.spec.?volumes.orValue([]).filter(v, v.name.startsWith('%PREFIX%')) == [` + c.volume() + `]
  && r.?hostAliases.orValue([]).all(h, h in object.spec.?hostAliases.orValue([])))`)
}

// claimed is true if the pod says that it is one of the profile, or reads a Secret of one of its revisions.
const claimed = `object.metadata.?labels[?'%WORKLOAD%'] == optional.of(params.spec.workload)
  || ([dyn(params.spec.current)] + dyn(params.spec.?known.orValue([]))).exists(r, object.metadata.?labels[?'%HASH%'] == optional.of(r.hash)
    || object.spec.?volumes.orValue([]).exists(v, ` + sources + `.exists(s, s.?secret.?name.orValue('') == r.secret)))`

// sources are those of the projected volume v. A volume without any is valid, and they are null then.
const sources = `(dyn(v.?projected.?sources.orValue([])) == null ? [] : v.?projected.?sources.orValue([]))`
