{{/*
Copyright The labguard Authors.
SPDX-License-Identifier: Apache-2.0
*/}}

{{/* Labels of every object. What selects pods is app.kubernetes.io/name alone. */}}
{{- define "labguard.labels" -}}
app.kubernetes.io/name: labguard
{{ include "labguard.release" . }}
{{- end }}

{{- define "labguard.release" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "labguard.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the security contexts of all pods have in common. */}}
{{- define "labguard.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "labguard.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where pods run, and how their image gets there. */}}
{{- define "labguard.placement" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/* The one who answers for this process: flags and the variable that they use. */}}
{{- define "labguard.identityArguments" -}}
- --namespace=$(POD_NAMESPACE)
- --user=system:serviceaccount:$(POD_NAMESPACE):labguard
{{- end }}

{{- define "labguard.identityEnvironment" -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}

{{/*
Refuses what cannot work, and says what to do. What depends on the cluster is looked at only where there is one: `helm template` has none, and a
namespace kube-system that is not found says so.
*/}}
{{- define "labguard.checks" -}}
{{- if not .Values.image.repository }}
  {{- fail "image.repository is empty: build the image of the operator, push it to a registry that your nodes can reach (docs/install.md), and name it, such as --set image.repository=registry.lab.example/platform/labguard" }}
{{- end }}
{{- if lookup "v1" "Namespace" "" "kube-system" }}
  {{- if not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy") }}
    {{- fail (printf "this cluster (Kubernetes %s) does not serve MutatingAdmissionPolicy in admissionregistration.k8s.io/v1: upgrade to Kubernetes 1.36 or later, the oldest that labguard supports; if it is 1.36 or later, see that --runtime-config of its API servers does not switch this API off" .Capabilities.KubeVersion.Version) }}
  {{- end }}
  {{- if not .Values.crds.install }}
    {{- if not (.Capabilities.APIVersions.Has "labguard.dev/v1alpha1/LabWorkload") }}
      {{- fail "crds.install is false and the cluster has no definitions of labguard's kinds: run `kubectl apply --server-side -k config/crd` from a checkout of this version first, or leave crds.install at true" }}
    {{- end }}
  {{- end }}
  {{- if .Values.prometheus.enabled }}
    {{- range list "ServiceMonitor" "PrometheusRule" }}
      {{- if not ($.Capabilities.APIVersions.Has (print "monitoring.coreos.com/v1/" .)) }}
        {{- fail (printf "prometheus.enabled is true and the cluster has no kind %s in monitoring.coreos.com/v1: install the Prometheus operator first, or leave prometheus.enabled at false; docs/metrics.md says how a Prometheus without the operator asks labguard" .) }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- include "labguard.onlyInstall" . }}
{{- end }}
{{- end }}

{{/*
Refuses a second install. The anchor is what a cluster has once: who made it says whose labguard this is. Helm itself refuses to take over what it has not
made, unless it is told to by --take-ownership, which also moves the rights of a labguard in another namespace: so that it is said twice.
*/}}
{{- define "labguard.onlyInstall" -}}
{{- $anchor := lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "labguard-webhook-anchor" }}
{{- if $anchor }}
  {{- $annotations := $anchor.metadata.annotations | default dict }}
  {{- $name := index $annotations "meta.helm.sh/release-name" }}
  {{- $namespace := index $annotations "meta.helm.sh/release-namespace" }}
  {{- if not (and $name $namespace) }}
    {{- $binding := lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "labguard" }}
    {{- $namespace = dig "namespace" .Release.Namespace (first ((($binding).subjects) | default (list dict))) }}
    {{- fail (printf "labguard is installed in this cluster already, in namespace %s and not by Helm: go on with what installed it, or hand it over to Helm: run `kubectl annotate clusterrole labguard-webhook-anchor meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s`, and then this command with -n %s --take-ownership --force-conflicts" $namespace .Release.Name $namespace $namespace) }}
  {{- end }}
  {{- if or (ne $name .Release.Name) (ne $namespace .Release.Namespace) }}
    {{- fail (printf "labguard is installed in this cluster already, as release %s in namespace %s, and a cluster has one: run `helm upgrade %s <this chart> -n %s`, or `helm uninstall %s -n %s` first" $name $namespace $name $namespace $name $namespace) }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What is known of the network plugin, by the DaemonSets that plugins have. */}}
{{- define "labguard.network" -}}
{{- if not (lookup "v1" "Namespace" "" "kube-system") -}}
not looked at, as there is no cluster here
{{- else -}}
{{- $enforce := dict "calico-node" "Calico" "canal" "Canal" "cilium" "Cilium" "anetd" "Cilium" "antrea-agent" "Antrea" "kube-router" "kube-router" "ovnkube-node" "OVN-Kubernetes" "kube-ovn-cni" "Kube-OVN" "azure-npm" "Azure NPM" "kube-network-policies" "kube-network-policies" }}
{{- $perhaps := dict "aws-node" "Amazon VPC CNI, which enforces network policies only with its network policy agent switched on" "kindnet" "kindnet, which enforces network policies in newer versions" }}
{{- $never := dict "kube-flannel-ds" "Flannel" "kube-flannel" "Flannel" }}
{{- $found := dict "enforces" "" "perhaps" "" "never" "" }}
{{- range (lookup "apps/v1" "DaemonSet" "" "").items }}
  {{- with index $enforce .metadata.name }}{{ $_ := set $found "enforces" . }}{{ end }}
  {{- with index $perhaps .metadata.name }}{{ $_ := set $found "perhaps" . }}{{ end }}
  {{- with index $never .metadata.name }}{{ $_ := set $found "never" . }}{{ end }}
{{- end }}
{{- if $found.enforces -}}
{{ $found.enforces }}, which enforces network policies
{{- else if $found.perhaps -}}
{{ $found.perhaps }}: look that up before you rely on isolation
{{- else if $found.never -}}
{{ $found.never }}, which enforces no network policy: nothing is isolated until another plugin does
{{- else -}}
none that this chart knows by name: look up whether yours enforces network policies, as nothing is isolated otherwise
{{- end }}
{{- end }}
{{- end }}
