// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/testutil/golden"
)

// result is what a golden holds of one policy.
type result struct {
	Policy any           `json:"policy"`
	Notes  desired.Notes `json:"notes,omitzero"`
}

func TestThePolicySaysWhatTheSpecSays(t *testing.T) {
	everywhere := &metav1.LabelSelector{}
	dualStack := cluster()
	dualStack.DNS.ClusterIPs = []string{"fd00::a", "10.96.0.10", "10.96.0.10", "None"}
	dualStack.DNS.NodeLocal = []string{"169.254.20.10"}
	dualStack.DNS.TargetPorts = []intstr.IntOrString{intstr.FromString("dns"), intstr.FromInt32(5353), {}}
	dualStack.KubernetesAPI.ClusterIPs = []string{"10.96.0.1", "fd00::1"}
	dualStack.KubernetesAPI.Endpoints = append(dualStack.KubernetesAPI.Endpoints, desired.AddressPort{Address: "172.18.0.9", Port: 443}, desired.AddressPort{Address: "api.example", Port: 443})

	tests := map[string]struct {
		lw      *v1alpha1.LabWorkload
		peers   []*v1alpha1.LabWorkload
		cluster *desired.Cluster
	}{
		"ports-without-peers-are-closed":   {lw: workload("pathology", "lis", port(2575), port(8443))},
		"empty-egress-is-dns-and-nothing":  {lw: workload("pathology", "lis", egress())},
		"every-kind-of-ingress-peer":       {lw: workload("pathology", "lis", port(2575, from("", "engine"), fromPods(everywhere, labelled("prometheus")), fromPods(nil, labelled("backup")), fromPods(everywhere, nil), fromOutside("10.21.0.0/16", "10.20.0.0/16", "fd00:20::/64"))), peers: []*v1alpha1.LabWorkload{workload("pathology", "engine")}},
		"every-kind-of-egress-peer":        {lw: workload("pathology", "lis", egress(to("", "archive"), toPods(nil, labelled("db"), tcp(5432)), toBlocks("10.9.0.0/16", udp(514), tcp(443)), toBlocks("10.8.0.0/16"), toAPI())), peers: []*v1alpha1.LabWorkload{workload("pathology", "archive", port(104), port(11112))}},
		"addresses-of-two-families":        {lw: workload("pathology", "lis", egress(toAPI())), cluster: &dualStack},
		"allowfrom-opens-the-egress-of-it": {lw: workload("pathology", "engine", egress()), peers: []*v1alpha1.LabWorkload{workload("pathology", "lis", port(2575, from("", "engine")), port(8443, from("", "portal")))}},
		"egress-opens-the-ingress-of-it":   {lw: workload("pathology", "lis", port(2575), port(8443)), peers: []*v1alpha1.LabWorkload{workload("pathology", "engine", egress(to("", "lis", tcp(2575)))), workload("pathology", "portal", egress(to("", "lis")))}},
		"egress-to-an-unrestricted-server": {lw: workload("pathology", "lis", egress(to("", "db"), to("", "queue", tcp(5672)))), peers: []*v1alpha1.LabWorkload{workload("pathology", "db"), workload("pathology", "queue")}},
		"pods-of-one-workload-among-them":  {lw: workload("pathology", "lis", port(7800, from("", "lis")), egress())},
		"server-waits-for-consent":         {lw: workload("pathology", "lis", port(2575, from("chemistry", "gw"), from("gone", "gone"))), peers: []*v1alpha1.LabWorkload{workload("chemistry", "gw", egress())}},
		"client-waits-for-consent":         {lw: workload("chemistry", "gw", egress(to("pathology", "lis"), to("radiology", "pacs", tcp(104), udp(514)), to("", "gone"))), peers: []*v1alpha1.LabWorkload{workload("pathology", "lis", port(2575)), workload("radiology", "pacs")}},
		"both-namespaces-agree-on-a-port":  {lw: workload("pathology", "lis", port(2575, from("chemistry", "gw")), port(8443, from("chemistry", "gw"))), peers: []*v1alpha1.LabWorkload{workload("chemistry", "gw", egress(to("pathology", "lis", tcp(2575), tcp(9999))))}},
		"the-client-of-that-agreement":     {lw: workload("chemistry", "gw", egress(to("pathology", "lis", tcp(2575), tcp(9999)))), peers: []*v1alpha1.LabWorkload{workload("pathology", "lis", port(2575, from("chemistry", "gw")), port(8443, from("chemistry", "gw")))}},
		"a-request-changes-nothing":        {lw: workload("pathology", "lis", port(2575), egress()), peers: []*v1alpha1.LabWorkload{workload("evil", "x", port(1, from("pathology", "lis"))), workload("chemistry", "gw", egress(to("pathology", "lis")))}},
		"a-deleted-peer-is-absent":         {lw: workload("pathology", "lis", port(2575, from("", "engine"))), peers: []*v1alpha1.LabWorkload{workload("pathology", "engine", deleting)}},
		"a-port-that-is-not-declared":      {lw: workload("pathology", "engine", egress(to("", "lis", tcp(9999), udp(2575)))), peers: []*v1alpha1.LabWorkload{workload("pathology", "lis", port(2575))}},
		"unknown-cluster-is-said":          {lw: workload("pathology", "lis", egress(toAPI())), cluster: &desired.Cluster{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			known := cluster()
			if test.cluster != nil {
				known = *test.cluster
			}
			spec, notes := desired.NetworkPolicy(test.lw, desired.NetworkFacts{Peers: desired.NewPeers(test.peers...), Cluster: known})
			golden.YAML(t, "networkpolicy-"+name, result{Policy: desired.NetworkPolicyApply(test.lw, spec), Notes: notes})
		})
	}
}

func TestNothingIsRestrictedThatTheSpecDoesNotDeclare(t *testing.T) {
	noPorts := workload("pathology", "lis", port(1))
	noPorts.Spec.Encryption.InTransit.Ports = nil
	unselective := workload("pathology", "lis", port(2575), egress())
	unselective.Spec.Selector = metav1.LabelSelector{}
	accepting := workload("pathology", "lis")
	accepting.Spec.Network = &v1alpha1.NetworkSpec{Accept: []v1alpha1.AcceptedPolicy{{Name: "x", Reason: "for a test"}}}
	tests := map[string]struct {
		lw   *v1alpha1.LabWorkload
		want []networkingv1.PolicyType
	}{
		"a selector alone gives no policy":                {lw: workload("pathology", "lis")},
		"encryption without ports gives no policy":        {lw: noPorts},
		"network without egress gives no policy":          {lw: accepting},
		"a LabWorkload in deletion has no policy":         {lw: workload("pathology", "lis", port(2575), egress(), deleting)},
		"an empty selector never isolates a namespace":    {lw: unselective},
		"ports restrict ingress only":                     {lw: workload("pathology", "lis", port(2575)), want: []networkingv1.PolicyType{"Ingress"}},
		"an empty egress list restricts egress only":      {lw: workload("pathology", "lis", egress()), want: []networkingv1.PolicyType{"Egress"}},
		"ports and egress together restrict both":         {lw: workload("pathology", "lis", port(2575), egress()), want: []networkingv1.PolicyType{"Ingress", "Egress"}},
		"naming an allowed LabWorkload is not restricted": {lw: workload("pathology", "engine")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec, _ := desired.NetworkPolicy(test.lw, desired.NetworkFacts{Cluster: cluster(), Peers: desired.NewPeers(workload("pathology", "other", port(1, from("", "engine"))))})
			if test.want == nil {
				if spec != nil || desired.NetworkPolicyApply(test.lw, spec) != nil {
					t.Fatalf("want no policy, got %v", spec)
				}
				return
			}
			if spec == nil {
				t.Fatal("want a policy, got none")
			}
			if diff := cmp.Diff(test.want, spec.PolicyTypes); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAServiceThatHidesTheSourceKeepsThePortOpen(t *testing.T) {
	named := []desired.Pod{{Labels: map[string]string{"app": "lis", "tier": "front"}, Ports: []corev1.ContainerPort{
		{Name: "mllp", ContainerPort: 9, Protocol: corev1.ProtocolUDP}, {Name: "mllp", ContainerPort: 2575},
	}}}
	local := func(s *corev1.ServiceSpec) { s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }
	tests := map[string]struct {
		service corev1.Service
		pods    []desired.Pod
		want    []string
	}{
		"a NodePort with the default policy":           {service: service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(2575)), want: []string{"s"}},
		"a LoadBalancer with policy Cluster":           {service: service("s", corev1.ServiceTypeLoadBalancer, intstr.FromInt32(2575), func(s *corev1.ServiceSpec) { s.ExternalTrafficPolicy = "Cluster" }), want: []string{"s"}},
		"a named target port that a container has":     {service: service("s", corev1.ServiceTypeNodePort, intstr.FromString("mllp")), pods: named, want: []string{"s"}},
		"no target port, which means the port itself":  {service: service("s", corev1.ServiceTypeNodePort, intstr.IntOrString{}, func(s *corev1.ServiceSpec) { s.Ports[0].Port = 2575 }), want: []string{"s"}},
		"external addresses of a ClusterIP Service":    {service: service("s", corev1.ServiceTypeClusterIP, intstr.FromInt32(2575), func(s *corev1.ServiceSpec) { s.ExternalIPs = []string{"192.0.2.1"} }), want: []string{"s"}},
		"a selector that a governed pod matches":       {service: service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(2575), func(s *corev1.ServiceSpec) { s.Selector = map[string]string{"tier": "front"} }), pods: named, want: []string{"s"}},
		"policy Local keeps the address":               {service: service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(2575), local)},
		"a ClusterIP Service is not seen from outside": {service: service("s", corev1.ServiceTypeClusterIP, intstr.FromInt32(2575))},
		"an ExternalName Service leads elsewhere":      {service: service("s", corev1.ServiceTypeExternalName, intstr.FromInt32(2575))},
		"a named target port that no container has":    {service: service("s", corev1.ServiceTypeNodePort, intstr.FromString("hl7")), pods: named},
		"a port without external peers":                {service: service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(8443))},
		"another protocol":                             {service: service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(2575), func(s *corev1.ServiceSpec) { s.Ports[0].Protocol = corev1.ProtocolUDP })},
		"a selector that no governed pod matches":      {service: service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(2575), func(s *corev1.ServiceSpec) { s.Selector = map[string]string{"app": "other"} })},
		"no selector": {service: service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(2575), func(s *corev1.ServiceSpec) { s.Selector = nil })},
	}
	elsewhere := service("s", corev1.ServiceTypeNodePort, intstr.FromInt32(2575))
	elsewhere.Namespace = "chemistry"
	tests["a Service of another namespace"] = struct {
		service corev1.Service
		pods    []desired.Pod
		want    []string
	}{service: elsewhere}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			lw := workload("pathology", "lis", port(2575, fromOutside("10.20.0.0/16"), from("", "engine")), port(8443, from("", "engine")))
			spec, notes := desired.NetworkPolicy(lw, desired.NetworkFacts{
				Peers: desired.NewPeers(workload("pathology", "engine")), Cluster: cluster(), Pods: test.pods,
				Services: []corev1.Service{test.service, test.service},
			})
			if diff := cmp.Diff(test.want, notes.LostServices(), cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Error(diff)
			}
			if open := len(spec.Ingress[0].From) == 0; open != (test.want != nil) {
				t.Errorf("port 2575 open to all: %v", open)
			}
			if len(spec.Ingress[1].From) != 1 {
				t.Errorf("port 8443 has no external peer and stays narrow, got %v", spec.Ingress[1].From)
			}
			for _, note := range notes.SourceAddressLost {
				if want := (desired.ServiceNote{Service: "s", Port: 2575, Text: "Service s replaces the address of external peers by that of a node, so port 2575 is open to all: set externalTrafficPolicy: Local"}); note != want {
					t.Errorf("got %+v", note)
				}
			}
		})
	}
}

func TestWhatIsPendingIsSaidOnce(t *testing.T) {
	lw := workload("pathology", "lis", port(2575, from("chemistry", "gw"), from("chemistry", "gw")), port(1, from("chemistry", "gw")), egress(to("chemistry", "gw"), to("", "absent")))
	_, notes := desired.NetworkPolicy(lw, desired.NetworkFacts{Cluster: cluster(), Peers: desired.Peers{
		{Namespace: "chemistry", Name: "gw"}:     workload("chemistry", "gw", port(1), port(2), port(3), port(4)),
		{Namespace: "pathology", Name: "absent"}: workload("pathology", "absent", deleting),
	}})
	if diff := cmp.Diff([]string{
		"LabWorkload chemistry/gw has to name pathology/lis in allowFrom of a port",
		"LabWorkload chemistry/gw has to name pathology/lis under network.egress, for ports 1 and 2575",
		"LabWorkload pathology/absent does not exist",
	}, notes.Pending()); diff != "" {
		t.Error(diff)
	}
	want := []desired.PeerNote{
		{Peer: types.NamespacedName{Namespace: "chemistry", Name: "gw"}, Text: "LabWorkload chemistry/gw has to name pathology/lis in allowFrom of a port"},
		{Peer: types.NamespacedName{Namespace: "chemistry", Name: "gw"}, Text: "LabWorkload chemistry/gw has to name pathology/lis under network.egress, for ports 1 and 2575"},
		{Peer: types.NamespacedName{Namespace: "pathology", Name: "absent"}, Text: "LabWorkload pathology/absent does not exist"},
	}
	if diff := cmp.Diff(want, notes.PeerPending); diff != "" {
		t.Error(diff)
	}
}

func TestReferencesAreWhatASpecNames(t *testing.T) {
	lw := workload("pathology", "lis", port(2575, from("chemistry", "gw"), from("", "engine"), fromOutside("10.0.0.0/8")), egress(to("", "engine"), to("radiology", "pacs"), toAPI()))
	want := []types.NamespacedName{{Namespace: "chemistry", Name: "gw"}, {Namespace: "pathology", Name: "engine"}, {Namespace: "radiology", Name: "pacs"}}
	if diff := cmp.Diff(want, desired.References(lw)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatTheAPIWouldRefuseOpensNothing(t *testing.T) {
	lw := workload("pathology", "lis",
		port(1, v1alpha1.IngressPeer{}, fromOutside("nonsense"), fromPods(nil, nil)),
		egress(v1alpha1.EgressPeer{}, toBlocks("nonsense", tcp(1)), toPods(nil, nil)))
	spec, _ := desired.NetworkPolicy(lw, desired.NetworkFacts{Cluster: cluster()})
	if len(spec.Ingress) != 0 || len(spec.Egress) != 1 {
		t.Errorf("want no ingress rule and the DNS rule only, got %v and %v", spec.Ingress, spec.Egress)
	}
}

func TestAPolicyDoesNotShareMemoryWithTheSpec(t *testing.T) {
	engine := workload("pathology", "engine")
	lw := workload("pathology", "lis", port(2575, from("", "engine"), fromPods(nil, labelled("x"))))
	spec, _ := desired.NetworkPolicy(lw, desired.NetworkFacts{Peers: desired.NewPeers(engine), Cluster: cluster()})
	spec.PodSelector.MatchLabels["app"] = "changed"
	for _, peer := range spec.Ingress[0].From {
		peer.PodSelector.MatchLabels["app"] = "changed"
	}
	if engine.Spec.Selector.MatchLabels["app"] != "engine" || lw.Spec.Selector.MatchLabels["app"] != "lis" ||
		lw.Spec.Encryption.InTransit.Ports[0].AllowFrom[1].Pods.PodSelector.MatchLabels["app"] != "x" {
		t.Error("a change of the policy changed a spec, which may sit in a cache")
	}
}
