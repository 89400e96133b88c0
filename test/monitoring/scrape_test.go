// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

func decode[T any](t *testing.T, document string) *T {
	t.Helper()
	into := new(T)
	if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
		t.Fatal(err)
	}
	return into
}

// What Prometheus is told has to find the pods that there are, in one namespace, by the port that they have.
func TestPrometheusFindsLabguard(t *testing.T) {
	documents := strings.Split(read(t, folder+"service_monitor.yaml"), "\n---\n")
	if len(documents) != 2 {
		t.Fatalf("%d documents, want a ServiceMonitor and a Service", len(documents))
	}
	monitor, service := decode[monitoringv1.ServiceMonitor](t, documents[0]), decode[corev1.Service](t, documents[1])
	deployment := decode[appsv1.Deployment](t, read(t, "../../config/manager/deployment.yaml"))
	if !labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(service.Labels)) || monitor.Namespace != service.Namespace {
		t.Errorf("the ServiceMonitor selects %v, the Service has %v", monitor.Spec.Selector.MatchLabels, service.Labels)
	}
	if !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(deployment.Spec.Template.Labels)) || service.Namespace != deployment.Namespace {
		t.Errorf("the Service selects %v, pods have %v", service.Spec.Selector, deployment.Spec.Template.Labels)
	}
	webhooks := decode[corev1.Service](t, read(t, "../../config/manager/service.yaml"))
	if labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(webhooks.Labels)) {
		t.Error("the ServiceMonitor selects the Service of the webhooks, too")
	}
	port := service.Spec.Ports[0]
	if !slices.ContainsFunc(deployment.Spec.Template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool {
		return p.Name == port.TargetPort.String() && p.ContainerPort == port.Port
	}) {
		t.Errorf("pods have no port %s, %d", port.TargetPort.String(), port.Port)
	}
	endpoint := monitor.Spec.Endpoints[0]
	if endpoint.Port != port.Name || endpoint.Scheme == nil || !strings.EqualFold(string(*endpoint.Scheme), "https") {
		t.Errorf("Prometheus asks port %s by %v", endpoint.Port, endpoint.Scheme)
	}
	if !endpoint.HonorLabels {
		t.Error("the label namespace of metrics becomes the namespace that labguard runs in")
	}
	if endpoint.TLSConfig == nil || endpoint.TLSConfig.InsecureSkipVerify != nil || *endpoint.TLSConfig.ServerName != webhooks.Name+"."+webhooks.Namespace+".svc" {
		t.Errorf("Prometheus shows its token by %+v", endpoint.TLSConfig)
	}
}

func TestTheRightToMetricsIsThatAlone(t *testing.T) {
	documents := strings.Split(read(t, folder+"reader.yaml"), "\n---\n")
	if len(documents) != 2 {
		t.Fatalf("%d documents, want a ClusterRole and a Role", len(documents))
	}
	role, discovery := decode[rbacv1.ClusterRole](t, documents[0]), decode[rbacv1.Role](t, documents[1])
	if diff := cmp.Diff([]rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services", "endpoints", "pods"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"get", "list", "watch"}},
	}, discovery.Rules); diff != "" || discovery.Namespace != "labguard-system" {
		t.Errorf("in %s it may (-want +got):\n%s", discovery.Namespace, diff)
	}
	if len(role.Rules) != 1 || !slices.Equal(role.Rules[0].NonResourceURLs, []string{"/metrics"}) || !slices.Equal(role.Rules[0].Verbs, []string{"get"}) ||
		len(role.Rules[0].Resources) != 0 {
		t.Errorf("it has %+v", role.Rules)
	}
}
