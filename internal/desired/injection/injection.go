// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/internal/desired/policy"
)

// Injection gives the policy that adds airlock to the pods that a profile selects, and its binding. It takes out what a pod has under airlock's names
// before it puts in its own, so that a pod cannot bring a sidecar of its own, and so that it may run again: after another policy or webhook has put
// something before airlock, it is the first once more. The API server always runs it again after it has changed a pod; a pod that is as it should be is let
// alone then, which spares the dearest part of it. It fails closed: a pod without airlock would be there and reach nobody.
func Injection(c Config) (*admissionac.MutatingAdmissionPolicyApplyConfiguration, *admissionac.MutatingAdmissionPolicyBindingApplyConfiguration) {
	spec := admissionac.MutatingAdmissionPolicySpec().
		WithFailurePolicy(admissionv1.Fail).
		WithReinvocationPolicy(admissionv1.IfNeededReinvocationPolicy).
		WithParamKind(profiles()).
		WithMatchConstraints(c.withProfiles(policy.Rule(creates, "", "v1", "pods"))).
		WithMatchConditions(policy.Condition("selected-and-not-in-place", selects(labelsOf("object"))+" && !("+c.inPlace()+")")).
		WithVariables(
			policy.Variable("inits", "object.spec.?initContainers.orValue([]).map(c, string(c.?name.orValue('')))"),
			policy.Variable("volumes", "object.spec.?volumes.orValue([]).map(v, string(v.?name.orValue('')))"),
			policy.Variable("airlock", expression("variables.inits.indexOf('%AIRLOCK%')")),
			policy.Variable("redirect", expression("variables.inits.indexOf('%REDIRECT%')")),
			policy.Variable("volume", expression("variables.volumes.indexOf('%VOLUME%')")),
			policy.Variable("pull", pullPolicy),
			policy.Variable("memory", "string(params.spec.current.memory)"),
			policy.Variable("cpu", "object.spec.?containers[?0].?resources.?limits.?cpu"),
			policy.Variable("redirects", "params.spec.current.?redirect.orValue([])"),
			policy.Variable("bundles", "params.spec.current.?bundles.orValue([])"),
			policy.Variable("aliases", "params.spec.current.?hostAliases.orValue([]).filter(h, !object.spec.?hostAliases.orValue([]).exists(o, o.?ip.orValue('') == h.ip))"),
		).
		WithMutations(admissionac.Mutation().WithPatchType(admissionv1.PatchTypeJSONPatch).
			WithJSONPatch(admissionac.JSONPatch().WithExpression(c.patch())))
	return admissionac.MutatingAdmissionPolicy(InjectionName).WithLabels(policy.Labels()).WithOwnerReferences(c.Anchor.Owners()...).WithSpec(spec),
		admissionac.MutatingAdmissionPolicyBinding(InjectionName).WithLabels(policy.Labels()).WithOwnerReferences(c.Anchor.Owners()...).
			WithSpec(admissionac.MutatingAdmissionPolicyBindingSpec().WithPolicyName(InjectionName).WithParamRef(ofTheNamespace(admissionv1.AllowAction)))
}

// pullPolicy is Always if all containers of the pod have it: an API server with AlwaysPullImages refuses everything else.
const pullPolicy = "object.spec.?containers.orValue([]).all(c, c.?imagePullPolicy.orValue('') == 'Always') ? 'Always' : 'IfNotPresent'"

// patch is the JSON patch. Indices are those of the object as it comes in, so what has the higher index goes first.
func (c Config) patch() string {
	return expression(`
(has(object.spec.initContainers) ? [] : [JSONPatch{op: "add", path: "/spec/initContainers", value: []}])
+ (has(object.spec.volumes) ? [] : [JSONPatch{op: "add", path: "/spec/volumes", value: []}])
+ (has(object.metadata.labels) ? [] : [JSONPatch{op: "add", path: "/metadata/labels", value: {}}])
+ [
  JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("%WORKLOAD%"), value: params.spec.workload},
  JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("%HASH%"), value: params.spec.current.hash}
]
+ (variables.airlock > variables.redirect ? [variables.airlock, variables.redirect] : [variables.redirect, variables.airlock]).filter(i, i >= 0).map(i,
    JSONPatch{op: "remove", path: "/spec/initContainers/" + string(i)})
+ [variables.volume].filter(i, i >= 0).map(i, JSONPatch{op: "remove", path: "/spec/volumes/" + string(i)})
+ (size(variables.redirects) == 0 ? [] : [JSONPatch{op: "add", path: "/spec/initContainers/0", value: ` + redirectContainer + `}])
+ [JSONPatch{op: "add", path: "/spec/initContainers/0", value: ` + airlockContainer + `}]
+ [JSONPatch{op: "add", path: "/spec/volumes/-", value: Object.spec.volumes{name: "%VOLUME%", projected: Object.spec.volumes.projected{
    defaultMode: %MODE%,
    sources: [
      Object.spec.volumes.projected.sources{secret: Object.spec.volumes.projected.sources.secret{name: params.spec.current.secret, optional: true, items: [
        Object.spec.volumes.projected.sources.secret.items{key: "tls.crt", path: "%CERTIFICATE%"},
        Object.spec.volumes.projected.sources.secret.items{key: "tls.key", path: "%KEY%"}]}},
      Object.spec.volumes.projected.sources{configMap: Object.spec.volumes.projected.sources.configMap{name: params.spec.current.configMap, optional: true, items: [
        Object.spec.volumes.projected.sources.configMap.items{key: "%CONFIGURATION%", path: "%CONFIGURATION%"}]}}
    ] + ` + c.bundles() + `}}}]
+ (size(variables.aliases) == 0 || has(object.spec.hostAliases) ? [] : [JSONPatch{op: "add", path: "/spec/hostAliases", value: []}])
+ variables.aliases.map(h, JSONPatch{op: "add", path: "/spec/hostAliases/-", value: Object.spec.hostAliases{ip: h.ip, hostnames: h.hostnames}})`)
}

// airlockContainer is the sidecar. The processor limit is that of the first container, if it has one: a namespace whose quota or limit range wants a limit
// refuses a pod without, and the limit range has given the container one that it accepts.
const airlockContainer = `Object.spec.initContainers{
    name: "%AIRLOCK%", image: params.spec.current.image, imagePullPolicy: variables.pull, restartPolicy: "Always", args: ["run"],
    terminationMessagePath: "/dev/termination-log", terminationMessagePolicy: "File",
    env: [Object.spec.initContainers.env{name: "%HOSTIPS%", valueFrom: Object.spec.initContainers.env.valueFrom{
      fieldRef: Object.spec.initContainers.env.valueFrom.fieldRef{apiVersion: "v1", fieldPath: "status.hostIPs"}}}],
    startupProbe: Object.spec.initContainers.startupProbe{
      httpGet: Object.spec.initContainers.startupProbe.httpGet{path: "/healthz", port: %HEALTH%, scheme: "HTTP"},
      periodSeconds: 1, timeoutSeconds: 1, successThreshold: 1, failureThreshold: %FAILURES%},
    resources: Object.spec.initContainers.resources{
      requests: {"cpu": "%CPU%", "memory": variables.memory},
      limits: variables.cpu.hasValue() ? {"cpu": string(variables.cpu.value()), "memory": variables.memory} : {"memory": variables.memory}},
    securityContext: Object.spec.initContainers.securityContext{
      runAsNonRoot: true, runAsUser: %UID%, runAsGroup: %UID%, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,
      capabilities: Object.spec.initContainers.securityContext.capabilities{drop: ["ALL"]},
      seccompProfile: Object.spec.initContainers.securityContext.seccompProfile{type: "RuntimeDefault"}},
    volumeMounts: [
      Object.spec.initContainers.volumeMounts{name: "%VOLUME%", mountPath: "%DIRECTORY%", readOnly: true},
      Object.spec.initContainers.volumeMounts{name: "%VOLUME%", mountPath: "%TOKEN%", readOnly: true}]
  }`

// redirectContainer writes the rules that send connections to airlock. It is root with one capability, and ends before anything else of the pod starts.
const redirectContainer = `Object.spec.initContainers{
    name: "%REDIRECT%", image: params.spec.current.image, imagePullPolicy: variables.pull, args: ["redirect"] + variables.redirects.map(r, string(r)),
    terminationMessagePath: "/dev/termination-log", terminationMessagePolicy: "File",
    resources: Object.spec.initContainers.resources{
      requests: {"cpu": "%CPU%", "memory": variables.memory},
      limits: variables.cpu.hasValue() ? {"cpu": string(variables.cpu.value()), "memory": variables.memory} : {"memory": variables.memory}},
    securityContext: Object.spec.initContainers.securityContext{
      runAsNonRoot: false, runAsUser: 0, runAsGroup: 0, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,
      capabilities: Object.spec.initContainers.securityContext.capabilities{drop: ["ALL"], add: ["NET_ADMIN"]},
      seccompProfile: Object.spec.initContainers.securityContext.seccompProfile{type: "RuntimeDefault"}}
  }`

// bundles are the sources of trust. A ConfigMap source without items would bring all of its keys.
func (c Config) bundles() string {
	if c.ClusterTrustBundles {
		return `variables.bundles.map(b, Object.spec.volumes.projected.sources{
      clusterTrustBundle: Object.spec.volumes.projected.sources.clusterTrustBundle{name: b.name, optional: true, path: b.path}})`
	}
	return `(size(variables.bundles) == 0 ? [] : [Object.spec.volumes.projected.sources{
      configMap: Object.spec.volumes.projected.sources.configMap{name: "%TRUST%", optional: true, items:
        variables.bundles.map(b, Object.spec.volumes.projected.sources.configMap.items{key: b.name, path: b.path})}}])`
}
