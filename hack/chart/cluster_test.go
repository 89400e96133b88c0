// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
)

// cluster is what templates look up.
type cluster struct{ client *fake.FakeDynamicClient }

func (c cluster) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, false, err
	}
	return c.client.Resource(version.WithResource(strings.ToLower(kind) + "s")), kind != "Namespace" && !strings.HasPrefix(kind, "Cluster"), nil
}

// clusterWith is a cluster with objects, besides kube-system.
func clusterWith(objects ...runtime.Object) cluster {
	objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}})
	return cluster{fake.NewSimpleDynamicClient(clientgoscheme.Scheme, objects...)}
}

// anchorOf is the anchor that a release has made, or somebody else if it is empty.
func anchorOf(release, namespace string) *rbacv1.ClusterRole {
	anchor := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "labguard-webhook-anchor"}}
	if release != "" {
		anchor.Annotations = map[string]string{"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
	}
	return anchor
}

func bindingOf(namespace string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "labguard"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "labguard", Namespace: namespace}},
	}
}

func daemon(namespace, name string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

const (
	policies     = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
	labWorkloads = "labguard.dev/v1alpha1/LabWorkload"
	monitors     = "monitoring.coreos.com/v1/ServiceMonitor"
	rules        = "monitoring.coreos.com/v1/PrometheusRule"
)

func TestWhatTheClusterCannotHaveIsRefusedWithWhatToDo(t *testing.T) {
	withoutDefinitions, withMonitoring := values(map[string]any{"crds.install": false}), values(map[string]any{"prometheus.enabled": true})
	for name, test := range map[string]struct {
		objects []runtime.Object
		apis    common.VersionSet
		values  map[string]any
		want    string
	}{
		"nothing is there": {apis: common.VersionSet{policies}, values: values(nil)},
		"no policies are served": {
			apis: common.VersionSet{"v1"}, values: values(nil), want: "upgrade to Kubernetes 1.36 or later, the oldest that labguard supports",
		},
		"no definitions, and none to install": {
			apis: common.VersionSet{policies}, values: withoutDefinitions, want: "run `kubectl apply --server-side -k config/crd`",
		},
		"definitions are there": {apis: common.VersionSet{policies, labWorkloads}, values: withoutDefinitions},
		"no Prometheus operator": {
			apis: common.VersionSet{policies}, values: withMonitoring, want: "no kind ServiceMonitor in monitoring.coreos.com/v1: install the Prometheus operator first",
		},
		"half of a Prometheus operator": {apis: common.VersionSet{policies, monitors}, values: withMonitoring, want: "no kind PrometheusRule in"},
		"a Prometheus operator":         {apis: common.VersionSet{policies, monitors, rules}, values: withMonitoring},
		"a second install in another namespace": {
			objects: []runtime.Object{anchorOf("labguard", "other")}, apis: common.VersionSet{policies}, values: values(nil),
			want: "installed in this cluster already, as release labguard in namespace other, and a cluster has one: run `helm upgrade labguard <this chart> -n other`, or `helm uninstall labguard -n other`",
		},
		"a second install under another name": {
			objects: []runtime.Object{anchorOf("guard", systemNamespace)}, apis: common.VersionSet{policies}, values: values(nil),
			want: "as release guard in namespace " + systemNamespace,
		},
		"the same release": {objects: []runtime.Object{anchorOf("labguard", systemNamespace)}, apis: common.VersionSet{policies}, values: values(nil)},
		"an install by kustomize": {
			objects: []runtime.Object{anchorOf("", ""), bindingOf("elsewhere")}, apis: common.VersionSet{policies}, values: values(nil),
			want: "in namespace elsewhere and not by Helm: go on with what installed it, or hand it over to Helm: run `kubectl annotate clusterrole " +
				"labguard-webhook-anchor meta.helm.sh/release-name=labguard meta.helm.sh/release-namespace=elsewhere`, and then this command with -n elsewhere --take-ownership --force-conflicts",
		},
		"an install by kustomize without rights": {
			objects: []runtime.Object{anchorOf("", "")}, apis: common.VersionSet{policies}, values: values(nil), want: "in namespace " + systemNamespace + " and not by Helm",
		},
		"an install by kustomize, handed over": {
			objects: []runtime.Object{anchorOf("labguard", systemNamespace), bindingOf(systemNamespace)}, apis: common.VersionSet{policies}, values: values(nil),
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := files(t, clusterWith(test.objects...), test.apis, test.values)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// `helm template` and Argo CD have no cluster to look at, and know of its APIs only what they are told.
func TestWithoutAClusterNothingOfItIsRefused(t *testing.T) {
	nowhere := cluster{fake.NewSimpleDynamicClient(clientgoscheme.Scheme)}
	made, err := files(t, nowhere, nil, values(map[string]any{"crds.install": false, "prometheus.enabled": true}))
	if err != nil {
		t.Fatal(err)
	}
	if monitoring := made["labguard/templates/prometheus.yaml"]; !strings.Contains(monitoring, "kind: ServiceMonitor") {
		t.Errorf("prometheus.enabled is true, and what is made is %q", monitoring)
	}
}

func TestTheNotesSayWhatIsMissingAndWhatIsNext(t *testing.T) {
	certManager := common.VersionSet{policies, "cert-manager.io/v1"}
	for name, test := range map[string]struct {
		cluster cluster
		apis    common.VersionSet
		values  map[string]any
		want    []string
	}{
		"an empty cluster": {
			clusterWith(), common.VersionSet{policies}, nil,
			[]string{"cert-manager is not installed", "none that this chart knows by name", "no certificate is issued", "helm test labguard -n " + systemNamespace},
		},
		"cert-manager and Cilium": {clusterWith(daemon("kube-system", "cilium")), certManager, nil, []string{"cert-manager is installed", "Cilium, which enforces"}},
		"Calico elsewhere":        {clusterWith(daemon("calico-system", "calico-node"), daemon("kube-system", "kube-proxy")), certManager, nil, []string{"Calico, which enforces"}},
		"Canal": {
			clusterWith(daemon("kube-system", "kube-flannel-ds"), daemon("kube-system", "canal")), certManager, nil, []string{"Canal, which enforces"},
		},
		"Flannel alone":                   {clusterWith(daemon("kube-flannel", "kube-flannel-ds")), certManager, nil, []string{"Flannel, which enforces no network policy"}},
		"a plugin that may or may not":    {clusterWith(daemon("kube-system", "aws-node")), certManager, nil, []string{"network policy agent", "look that up"}},
		"one replica":                     {clusterWith(), certManager, map[string]any{"replicas": 1}, []string{"Replicas: one"}},
		"no cluster at all":               {cluster{fake.NewSimpleDynamicClient(clientgoscheme.Scheme)}, certManager, nil, []string{"not looked at"}},
		"the gate goes without the chart": {clusterWith(), certManager, nil, []string{"kubectl delete clusterrole labguard-webhook-anchor"}},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := files(t, test.cluster, test.apis, values(test.values))
			if err != nil {
				t.Fatal(err)
			}
			notes := made["labguard/templates/NOTES.txt"]
			for _, want := range test.want {
				if !strings.Contains(notes, want) {
					t.Errorf("%q is not in\n%s", want, notes)
				}
			}
		})
	}
	made, err := files(t, clusterWith(), certManager, values(map[string]any{
		"configuration.issuers": []any{map[string]any{"kind": "ClusterIssuer", "name": "lab-ca"}},
	}))
	if notes := made["labguard/templates/NOTES.txt"]; err != nil || strings.Contains(notes, "Issuers: none") {
		t.Errorf("%v\n%s", err, notes)
	}
}
