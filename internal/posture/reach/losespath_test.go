// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/reach"
)

func service(name, app string, kind corev1.ServiceType, number int32, target intstr.IntOrString) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: corev1.ServiceSpec{
		Type: kind, Selector: map[string]string{"app": app}, Ports: []corev1.ServicePort{{Name: "main", Port: number, TargetPort: target}},
	}}
}

func route(name string, backend networkingv1.IngressBackend, paths ...networkingv1.IngressBackend) networkingv1.Ingress {
	found := networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: networkingv1.IngressSpec{
		DefaultBackend: &backend, Rules: []networkingv1.IngressRule{{}},
	}}
	for _, path := range paths {
		found.Spec.Rules = append(found.Spec.Rules, networkingv1.IngressRule{IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Backend: path}}},
		}})
	}
	return found
}

func leads(service string, port networkingv1.ServiceBackendPort) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service, Port: port}}
}

func TestLosesPath(t *testing.T) {
	lis := pod("pathology", "lis-0", "lis", "10.244.1.5", listens("mllp", 2575), listens("http", 8080))
	engine := pod("pathology", "engine-0", "engine", "10.244.1.6", listens("api", 9000))
	portal := pod("pathology", "portal-0", "portal", "10.244.1.7")
	stranger := pod("web", "x", "x", "10.244.3.1")
	scraped := lis
	scraped.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9100"}
	scrapedEverywhere := lis
	scrapedEverywhere.Annotations = map[string]string{"prometheus.io/scrape": "true"}
	scrapedNowhere := lis
	scrapedNowhere.Annotations = map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "metrics"}
	scrapedService := service("lis", "lis", "ClusterIP", 8080, intstr.IntOrString{})
	scrapedService.Annotations = map[string]string{"prometheus.io/scrape": "true"}
	elsewhere := service("other", "lis", "ClusterIP", 1, intstr.IntOrString{})
	elsewhere.Namespace = "web"
	foreignRoute := route("r", leads("lis", networkingv1.ServiceBackendPort{Number: 80}))
	foreignRoute.Namespace = "web"

	allowEngine := ingress("lis", from(peers(pods("engine")), tcp(2575)))
	onMLLP := v1alpha1.TransitPort{Port: 2575, AllowFrom: []v1alpha1.IngressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Name: "engine"}}}}
	forPods := v1alpha1.TransitPort{Port: 2575, AllowFrom: []v1alpha1.IngressPeer{{Pods: &v1alpha1.PodPeer{PodSelector: &metav1.LabelSelector{}}}}}
	forOthers := v1alpha1.TransitPort{Port: 2575, AllowFrom: []v1alpha1.IngressPeer{{External: &v1alpha1.ExternalPeer{CIDRs: []v1alpha1.CIDR{"10.0.0.0/8"}}}}}
	tests := map[string]struct {
		pods      []reach.Pod
		policies  []networkingv1.NetworkPolicy
		would     networkingv1.NetworkPolicySpec
		ports     []v1alpha1.TransitPort
		services  []corev1.Service
		ingresses []networkingv1.Ingress
		want      []string
	}{
		"no governed pod": {pods: []reach.Pod{engine}, would: allowEngine},
		"pods of the namespace lose ports, those of others are not named": {pods: []reach.Pod{lis, engine, portal, stranger}, would: allowEngine, want: []string{
			"pod engine-0 could no longer reach port 8080 of these pods",
			"pod portal-0 could no longer reach ports 2575 and 8080 of these pods",
		}},
		"a port of the spec counts although no container declares it": {pods: []reach.Pod{pod("pathology", "lis-0", "lis", ""), portal}, would: allowEngine, ports: []v1alpha1.TransitPort{onMLLP}, want: []string{
			"pod portal-0 could no longer reach port 2575 of these pods",
		}},
		"what is closed already is not lost": {pods: []reach.Pod{lis, portal}, would: allowEngine, policies: []networkingv1.NetworkPolicy{policy("deny", ingress(""))}},
		"what others keep open is not lost":  {pods: []reach.Pod{lis, portal}, would: allowEngine, policies: []networkingv1.NetworkPolicy{policy("open", ingress("", from(nil)))}},
		"the policy that would be replaced does not count": {pods: []reach.Pod{lis, portal}, would: allowEngine, policies: []networkingv1.NetworkPolicy{policy("labguard-lis", ingress("lis", from(nil, tcp(8080))))}, want: []string{
			"pod portal-0 could no longer reach port 8080 of these pods",
		}},
		"replicas lose each other": {pods: []reach.Pod{lis, func() reach.Pod { p := lis; p.Name = "lis-1"; return p }()}, would: ingress("lis"), want: []string{
			"pod lis-0 could no longer reach ports 2575 and 8080 of these pods", "pod lis-1 could no longer reach ports 2575 and 8080 of these pods",
		}},
		"many ports are cut": {pods: []reach.Pod{pod("pathology", "lis-0", "lis", "", listens("", 1), listens("", 2), listens("", 3), listens("", 4), listens("", 5)), portal}, would: ingress("lis"), want: []string{
			"pod portal-0 could no longer reach ports 1, 2, 3 and 2 more of these pods",
		}},
		"a Service whose port is open to nobody": {pods: []reach.Pod{lis}, would: allowEngine, services: []corev1.Service{
			service("web", "lis", "ClusterIP", 80, intstr.FromString("http")), service("mllp", "lis", "ClusterIP", 2575, intstr.IntOrString{}),
			service("same", "lis", "ClusterIP", 8080, intstr.FromInt32(8080)), service("else", "engine", "ClusterIP", 1, intstr.IntOrString{}),
			service("unnamed", "lis", "ClusterIP", 1, intstr.FromString("none")), service("name", "lis", "ExternalName", 1, intstr.IntOrString{}), elsewhere,
		}, want: []string{
			"Service same: nobody could reach its port 8080 any more",
			"Service web: nobody could reach its port 80 (port 8080 of the pods) any more",
		}},
		"a Service that is seen from outside": {pods: []reach.Pod{lis}, would: allowEngine, services: []corev1.Service{service("mllp", "lis", "NodePort", 2575, intstr.IntOrString{})}, want: []string{
			"Service mllp: addresses outside of the cluster could no longer reach its port 2575",
		}},
		"a Service that external peers may reach": {pods: []reach.Pod{lis}, would: ingress("lis", from(peers(block("10.20.0.0/16")), tcp(2575))), services: []corev1.Service{service("mllp", "lis", "NodePort", 2575, intstr.IntOrString{})}},
		"an Ingress, by number and by name of the port": {
			pods: []reach.Pod{lis}, would: allowEngine, ports: []v1alpha1.TransitPort{onMLLP},
			services: []corev1.Service{service("lis", "lis", "ClusterIP", 80, intstr.FromInt32(2575)), service("engine", "engine", "ClusterIP", 80, intstr.IntOrString{})},
			ingresses: []networkingv1.Ingress{
				route("a", leads("lis", networkingv1.ServiceBackendPort{Number: 80})), route("b", networkingv1.IngressBackend{}, leads("lis", networkingv1.ServiceBackendPort{Name: "main"})),
				route("c", leads("lis", networkingv1.ServiceBackendPort{Number: 81}), leads("engine", networkingv1.ServiceBackendPort{Number: 80})), foreignRoute,
			},
			want: []string{
				"Ingress a: its Service lis leads to port 2575 of these pods, which no pods peer and no external peer could reach",
				"Ingress b: its Service lis leads to port 2575 of these pods, which no pods peer and no external peer could reach",
			},
		},
		"an Ingress whose port has a pods peer": {
			pods: []reach.Pod{lis}, would: allowEngine, ports: []v1alpha1.TransitPort{forPods}, services: []corev1.Service{service("lis", "lis", "ClusterIP", 80, intstr.FromInt32(2575))},
			ingresses: []networkingv1.Ingress{route("a", leads("lis", networkingv1.ServiceBackendPort{Number: 80}))},
		},
		"an Ingress whose port has an external peer": {
			pods: []reach.Pod{lis}, would: allowEngine, ports: []v1alpha1.TransitPort{forOthers}, services: []corev1.Service{service("lis", "lis", "ClusterIP", 80, intstr.FromInt32(2575))},
			ingresses: []networkingv1.Ingress{route("a", leads("lis", networkingv1.ServiceBackendPort{Number: 80}))},
		},
		"an Ingress whose port stays open to all": {
			pods: []reach.Pod{lis}, would: ingress("lis", from(nil, tcp(2575))), services: []corev1.Service{service("lis", "lis", "ClusterIP", 80, intstr.FromInt32(2575))},
			ingresses: []networkingv1.Ingress{route("a", leads("lis", networkingv1.ServiceBackendPort{Number: 80}))},
		},
		"an Ingress that a policy of others keeps open": {
			pods: []reach.Pod{lis}, would: allowEngine, policies: []networkingv1.NetworkPolicy{policy("controller", ingress("", from(peers(podsOf("web")))))},
			services:  []corev1.Service{service("lis", "lis", "ClusterIP", 80, intstr.FromInt32(2575))},
			ingresses: []networkingv1.Ingress{route("a", leads("lis", networkingv1.ServiceBackendPort{Number: 80}))},
		},
		"a scraped pod, by the port of its annotation": {pods: []reach.Pod{scraped}, would: allowEngine, want: []string{"Prometheus could no longer scrape port 9100 of pod lis-0"}},
		"a scraped pod without a port in the annotation": {pods: []reach.Pod{scrapedEverywhere}, would: allowEngine, ports: []v1alpha1.TransitPort{forOthers}, want: []string{
			"Prometheus could no longer scrape port 2575 of pod lis-0", "Prometheus could no longer scrape port 8080 of pod lis-0",
		}},
		"a scraped pod with a pods peer on one port": {pods: []reach.Pod{scrapedEverywhere}, would: allowEngine, ports: []v1alpha1.TransitPort{forPods}, want: []string{"Prometheus could no longer scrape port 8080 of pod lis-0"}},
		"an annotation that is no port":              {pods: []reach.Pod{scrapedNowhere}, would: allowEngine},
		"a scraped Service": {pods: []reach.Pod{lis}, would: allowEngine, services: []corev1.Service{scrapedService}, want: []string{
			"Prometheus could no longer scrape port 8080 of the pods of Service lis", "Service lis: nobody could reach its port 8080 any more",
		}},
		"egress loses Services, and pods that have none": {
			pods: []reach.Pod{lis, engine, pod("pathology", "db-0", "db", "", listens("", 5432), listens("", 9187))}, would: egress("lis"),
			services: []corev1.Service{service("db", "db", "ClusterIP", 1, intstr.FromInt32(5432))},
			want: []string{
				"these pods could no longer reach port 1 (port 5432 of the pods) of Service db",
				"these pods could no longer reach port 9000 of pod engine-0",
				"these pods could no longer reach port 9187 of pod db-0",
			},
		},
		"egress that stays allowed":                      {pods: []reach.Pod{lis, engine}, would: egress("lis", to(peers(pods("engine")), named("api")))},
		"egress to what does not let them in is no loss": {pods: []reach.Pod{lis, engine}, would: egress("lis"), policies: []networkingv1.NetworkPolicy{policy("deny", ingress("engine"))}},
		"ingress from what may not send is no loss":      {pods: []reach.Pod{lis, engine}, would: ingress("lis"), policies: []networkingv1.NetworkPolicy{policy("deny", egress("engine"))}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := reach.LosesPath(world(test.pods, test.policies...), reach.Preview{
				LabWorkload: labWorkload(test.ports...), Would: test.would, Policy: "labguard-lis", Services: test.services, Ingresses: test.ingresses,
			})
			if diff := cmp.Diff(test.want, got, cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
