// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
)

func cluster() desired.Cluster {
	return desired.Cluster{
		DNS: desired.DNS{
			Namespace:   "kube-system",
			Selector:    map[string]string{"k8s-app": "kube-dns"},
			TargetPorts: []intstr.IntOrString{intstr.FromInt32(53)},
			ClusterIPs:  []string{"10.96.0.10"},
		},
		KubernetesAPI: desired.KubernetesAPI{
			ClusterIPs: []string{"10.96.0.1"},
			Endpoints:  []desired.AddressPort{{Address: "172.18.0.3", Port: 6443}, {Address: "172.18.0.2", Port: 6443}},
		},
		TrustDomain:   "lab.example",
		ClusterDomain: "cluster.local",
	}
}

type option func(*v1alpha1.LabWorkload)

// workload is a LabWorkload that selects the pods labelled app: <name>.
func workload(namespace, name string, options ...option) *v1alpha1.LabWorkload {
	lw := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "0b6f5f1e-0000-4000-8000-000000000001"},
		Spec:       v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}},
	}
	for _, apply := range options {
		apply(lw)
	}
	return lw
}

// port declares a port and who may reach it.
func port(number int32, allowed ...v1alpha1.IngressPeer) option {
	return func(lw *v1alpha1.LabWorkload) {
		if lw.Spec.Encryption == nil {
			lw.Spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
				Provider:  v1alpha1.TransitProviderApplication,
				IssuerRef: v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindClusterIssuer, Name: "lab-ca"},
			}}
		}
		transit := lw.Spec.Encryption.InTransit
		transit.Ports = append(transit.Ports, v1alpha1.TransitPort{Port: number, AllowFrom: allowed})
	}
}

// egress restricts egress to DNS and the entries.
func egress(entries ...v1alpha1.EgressPeer) option {
	return func(lw *v1alpha1.LabWorkload) {
		lw.Spec.Network = &v1alpha1.NetworkSpec{Egress: append([]v1alpha1.EgressPeer{}, entries...)}
	}
}

func deleting(lw *v1alpha1.LabWorkload) {
	now := metav1.Unix(1_790_000_000, 0)
	lw.DeletionTimestamp = &now
}

func from(namespace, name string) v1alpha1.IngressPeer {
	return v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Namespace: namespace, Name: name}}
}

func fromPods(namespaces, pods *metav1.LabelSelector) v1alpha1.IngressPeer {
	return v1alpha1.IngressPeer{Pods: &v1alpha1.PodPeer{NamespaceSelector: namespaces, PodSelector: pods}}
}

func fromOutside(cidrs ...v1alpha1.CIDR) v1alpha1.IngressPeer {
	return v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{CIDRs: cidrs}}
}

func to(namespace, name string, ports ...v1alpha1.PeerPort) v1alpha1.EgressPeer {
	return v1alpha1.EgressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Namespace: namespace, Name: name}, Ports: ports}
}

func toBlocks(cidr v1alpha1.CIDR, ports ...v1alpha1.PeerPort) v1alpha1.EgressPeer {
	return v1alpha1.EgressPeer{CIDRs: []v1alpha1.CIDR{cidr}, Ports: ports}
}

func toPods(namespaces, pods *metav1.LabelSelector, ports ...v1alpha1.PeerPort) v1alpha1.EgressPeer {
	return v1alpha1.EgressPeer{Pods: &v1alpha1.PodPeer{NamespaceSelector: namespaces, PodSelector: pods}, Ports: ports}
}

func toAPI() v1alpha1.EgressPeer {
	yes := true
	return v1alpha1.EgressPeer{KubernetesAPI: &yes}
}

func tcp(number int32) v1alpha1.PeerPort {
	return v1alpha1.PeerPort{Port: number, Protocol: "TCP"}
}

func udp(number int32) v1alpha1.PeerPort {
	return v1alpha1.PeerPort{Port: number, Protocol: "UDP"}
}

func labelled(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

// service leads from port 80 to the target port of the pods labelled app: lis in pathology.
func service(name string, kind corev1.ServiceType, target intstr.IntOrString, change ...func(*corev1.ServiceSpec)) corev1.Service {
	s := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Spec: corev1.ServiceSpec{
		Type: kind, Selector: map[string]string{"app": "lis"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: target}},
	}}
	for _, apply := range change {
		apply(&s.Spec)
	}
	return s
}
