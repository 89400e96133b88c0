// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
)

var now = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// sidecar is a LabWorkload with provider Sidecar that selects the pods labelled app: <name>.
func sidecar(namespace, name string, ports ...v1alpha1.TransitPort) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name)},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
				Provider: v1alpha1.TransitProviderSidecar, IssuerRef: v1alpha1.IssuerReference{Name: "lab-ca"}, Ports: ports,
			}},
		},
	}
}

func port(name string, number int32, from ...v1alpha1.IngressPeer) v1alpha1.TransitPort {
	return v1alpha1.TransitPort{Name: name, Port: number, AllowFrom: from}
}

func fromLabWorkload(namespace, name string) v1alpha1.IngressPeer {
	return v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Namespace: namespace, Name: name}}
}

func service(namespace, name, app, address string, number int32, target intstr.IntOrString) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": app}, ClusterIP: address, ClusterIPs: []string{address},
		Ports: []corev1.ServicePort{{Port: number, TargetPort: target, Protocol: corev1.ProtocolTCP}},
	}}
}

// companion is the companion of a Service as the API server gives it back, which leads to the first port that a sidecar gets.
func companion(namespace, of, labWorkload, address string, number int32) corev1.Service {
	made := service(namespace, desired.CompanionName(of), labWorkload, address, number, intstr.FromInt32(15100))
	made.Labels = map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue, v1alpha1.LabWorkloadLabel: labWorkload}
	made.Spec.Selector[v1alpha1.WorkloadLabel] = labWorkload
	return made
}

func key(lw *v1alpha1.LabWorkload) types.NamespacedName {
	return types.NamespacedName{Namespace: lw.Namespace, Name: lw.Name}
}

// profileOf is a profile with the spec that was built, that pods are injected from.
func profileOf(lw *v1alpha1.LabWorkload, spec v1alpha1.AirlockProfileSpec) *v1alpha1.AirlockProfile {
	return &v1alpha1.AirlockProfile{
		ObjectMeta: metav1.ObjectMeta{Namespace: lw.Namespace, Name: desired.ChildName(lw.Name), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}, Spec: spec,
	}
}

// factsOf are the facts of a LabWorkload at Permissive, among peers.
func factsOf(lw *v1alpha1.LabWorkload, peers ...*v1alpha1.LabWorkload) transit.Facts {
	return transit.Facts{
		Workload: lw, Stage: v1alpha1.TransitStagePermissive, Written: true, Now: now, Peers: desired.NewPeers(append(peers, lw)...),
		Profiles: map[types.NamespacedName]*v1alpha1.AirlockProfile{},
		Platform: transit.Platform{
			TrustDomain: "lab.example", ClusterDomain: "cluster.local", Image: "registry.example/airlock@sha256:00",
			Bundles: []transit.Bundle{{TrustDomain: "lab.example", Name: "labguard-trust-lab.example", Digest: "1"}, {
				Authority: "vendor", Name: "labguard-authority-vendor", Digest: "2",
				Identities: []string{"spiffe://vendor.example/analyzer/*"}, DNSNames: []string{"cobas-1.vendor.example"}, Fingerprints: []string{strings.Repeat("a", 64)},
			}},
		},
		Pods:       []transit.Pod{{Pod: desired.Pod{Labels: lw.Spec.Selector.MatchLabels}}},
		Namespaces: map[string]map[string]string{},
	}
}

func documentOf(t *testing.T, result transit.Result) config.Configuration {
	t.Helper()
	made, err := config.Parse(result.Document)
	if err != nil {
		t.Fatalf("airlock refuses the document: %v\n%s", err, result.Document)
	}
	return *made
}

// lab is an interface engine that sends results to a LIS; both have sidecars. change changes the LIS's Services.
func lab(t *testing.T, change func(*corev1.Service)) (client transit.Facts, server *v1alpha1.AirlockProfile) {
	t.Helper()
	lis, engine := sidecar("pathology", "lis", port("mllp", 2575, fromLabWorkload("", "engine"))), sidecar("pathology", "engine")
	facts := factsOf(lis, engine)
	of := service("pathology", "lis", "lis", "10.96.0.20", 2575, intstr.FromInt32(2575))
	facts.Services = []corev1.Service{of}
	server = profileOf(lis, transit.Build(facts).Profile)
	client = factsOf(engine, lis)
	client.Profiles[key(lis)] = server
	if change != nil {
		change(&of)
	}
	client.Services = []corev1.Service{of, companion("pathology", "lis", "lis", "10.96.0.21", 2575)}
	return client, server
}
