// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/posture/reach"
)

func TestOpenedWider(t *testing.T) {
	both := []networkingv1.PolicyType{in, out}
	lis := []reach.Pod{
		pod("pathology", "lis-0", "lis", "10.244.1.5", listens("mllp", 2575), listens("http", 8080)),
		pod("pathology", "lis-1", "lis", "10.244.2.5", listens("mllp", 2575), listens("http", 8080)),
		pod("pathology", "engine-0", "engine", "10.244.1.6", listens("api", 9000)),
		pod("web", "x", "x", "10.244.3.1"),
	}
	ours := ingress("lis", from(peers(pods("engine"), block("10.20.0.0/16")), tcp(2575)))
	lets := func(rules ...networkingv1.NetworkPolicyIngressRule) []networkingv1.NetworkPolicy {
		return []networkingv1.NetworkPolicy{policy("theirs", ingress("lis", rules...))}
	}
	sends := func(rules ...networkingv1.NetworkPolicyEgressRule) []networkingv1.NetworkPolicy {
		return []networkingv1.NetworkPolicy{policy("theirs", egress("lis", rules...))}
	}
	everywhere := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	invalid := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}}

	tests := map[string]struct {
		pods     []reach.Pod
		policies []networkingv1.NetworkPolicy
		ours     *networkingv1.NetworkPolicySpec
		accepted []string
		want     []string
		notes    []string
	}{
		"no policy of others":                       {},
		"our own policy in the cluster is not ours": {policies: []networkingv1.NetworkPolicy{policy("labguard-lis", ingress("lis", from(nil)))}},
		"a policy that is accepted by name":         {policies: lets(from(nil)), accepted: []string{"theirs"}},
		"a default deny opens nothing":              {policies: lets()},
		"the same as ours":                          {policies: lets(from(peers(pods("engine")), tcp(2575)))},
		"less than ours":                            {policies: lets(from(peers(block("10.20.4.0/24")), tcp(2575)))},
		"a policy for other pods":                   {policies: []networkingv1.NetworkPolicy{policy("theirs", ingress("engine", from(nil)))}},
		"a policy of another namespace": {policies: []networkingv1.NetworkPolicy{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "theirs"}, Spec: ingress("", from(nil)),
		}}},
		"a direction that ours does not restrict": {policies: sends(to(nil))},
		"no peers and no ports mean everything": {policies: lets(from(nil)), want: []string{
			"policy theirs lets pod pathology/engine-0 reach port 8080 of pod pathology/lis-0"}},
		"another port": {policies: lets(from(peers(pods("engine")), tcp(8080))), want: []string{
			"policy theirs lets pod pathology/engine-0 reach port 8080 of pod pathology/lis-0"}},
		"a port by name": {policies: lets(from(peers(pods("engine")), named("http"))), want: []string{
			"policy theirs lets pod pathology/engine-0 reach port 8080 of pod pathology/lis-0"}},
		"a port by the name of ours": {policies: lets(from(peers(pods("engine")), named("mllp")))},
		"a range that goes beyond": {policies: lets(from(peers(pods("engine")), numbered(corev1.ProtocolTCP, 2575, 2580))), want: []string{
			"policy theirs lets pod pathology/engine-0 reach port 2576 of pod pathology/lis-0"}},
		"another protocol": {policies: lets(from(peers(pods("engine")), numbered(corev1.ProtocolUDP, 2575, 0))), want: []string{
			"policy theirs lets pod pathology/engine-0 reach port UDP 2575 of pod pathology/lis-0"}},
		"another namespace": {policies: lets(from(peers(podsOf("web")), tcp(2575))), want: []string{
			"policy theirs lets pod web/x reach port 2575 of pod pathology/lis-0"}},
		"one replica to another": {policies: lets(from(peers(pods("lis")))), want: []string{
			"policy theirs lets pod pathology/lis-1 reach every port of pod pathology/lis-0"}},
		"a pod alone does not need a policy to reach itself": {pods: []reach.Pod{lis[0]}, policies: lets(from(peers(pods("lis")))), notes: []string{
			"policy theirs would let in pods with app=lis of this namespace, and nobody uses it today"}},
		"a wider block": {policies: lets(from(peers(block("10.20.0.0/15")), tcp(2575))), want: []string{
			"policy theirs lets addresses in 10.21.0.0/16 reach port 2575 of pod pathology/lis-0"}},
		"a wider block without what is wider": {policies: lets(from(peers(block("10.20.0.0/15", "10.21.0.0/16")), tcp(2575)))},
		"a block that covers pods": {policies: lets(from(peers(block("10.244.1.6/32")), tcp(2575))), want: []string{
			"policy theirs lets addresses in 10.244.1.6/32 reach port 2575 of pod pathology/lis-0"}},
		"a block of a family that the pods do not have": {policies: lets(from(peers(block("fd00::/8")), tcp(2575)))},
		"egress to a pod": {ours: new(egress("lis", to(peers(pods("engine")), tcp(1)))), policies: sends(to(peers(pods("engine")), named("api"), tcp(1))), want: []string{
			"policy theirs lets pod pathology/lis-0 reach port 9000 of pod pathology/engine-0"}},
		"egress to addresses": {ours: new(egress("lis", to(peers(block("10.9.0.0/16")), tcp(443)))), policies: sends(to(peers(block("0.0.0.0/0")), tcp(443))), want: []string{
			"policy theirs lets pod pathology/lis-0 reach port 443 of addresses in 0.0.0.0/5"}},
		"what ours allows to a block it allows to the pods in it": {ours: new(egress("lis", to(peers(block("10.244.0.0/16"))))), policies: sends(to(peers(pods("engine"))))},
		"both directions of one policy are two findings": {
			ours: new(allowing("lis", both, nil, nil)), policies: []networkingv1.NetworkPolicy{policy("theirs", networkingv1.NetworkPolicySpec{
				Ingress: []networkingv1.NetworkPolicyIngressRule{from(peers(pods("engine")), tcp(1))}, Egress: []networkingv1.NetworkPolicyEgressRule{to(peers(pods("engine")), tcp(1))},
			})},
			want: []string{"policy theirs lets pod pathology/lis-0 reach port 1 of pod pathology/engine-0", "policy theirs lets pod pathology/engine-0 reach port 1 of pod pathology/lis-0"},
		},
		"a port of ours that is open to all": {ours: new(ingress("lis", from(nil, tcp(2575)))), policies: lets(from(peers(everywhere), tcp(2575)), from(nil, tcp(2575)))},
		"a peer that does not exist is a note": {policies: lets(from(peers(pods("batch")), tcp(1)), from(peers(podsOf("gone"))), from(peers(networkingv1.NetworkPolicyPeer{NamespaceSelector: labelled("none")}))), notes: []string{
			"policy theirs would let in pods of namespaces with app=none, and nobody uses it today",
			"policy theirs would let in pods with app=batch of this namespace, and nobody uses it today",
			"policy theirs would let in pods with app=x of namespaces with kubernetes.io/metadata.name=gone, and nobody uses it today",
		}},
		"a peer that does not exist and that ours has as well": {ours: new(ingress("lis", from(peers(pods("batch"), podsOf("gone"))))), policies: lets(from(peers(pods("batch"), podsOf("gone")), tcp(1), named("none")))},
		"a name of a port that no container has is a note": {policies: lets(from(nil, named("none")), from(peers(everywhere), named("none"))), notes: []string{
			"policy theirs would let in everybody, and nobody uses it today",
			"policy theirs would let in pods of any namespace, and nobody uses it today",
		}},
		"the same name in ours contains it": {ours: new(ingress("lis", from(nil, named("none")))), policies: lets(from(nil, named("none")))},
		"an egress peer that does not exist is a note": {ours: new(egress("lis")), policies: sends(to(peers(pods("batch")))), notes: []string{
			"policy theirs would let out to pods with app=batch of this namespace, and nobody uses it today",
		}},
		"no governed pod, nothing is wider":                             {pods: lis[2:], policies: lets(from(nil))},
		"what the API refuses selects nothing":                          {policies: lets(from(peers(invalid, block("nonsense")), numbered("TCP", 70000, 0), numbered("ICMP", 1, 0)))},
		"a governed pod in the node's network is outside of any policy": {pods: []reach.Pod{{Namespace: "pathology", Name: "lis-h", Labels: map[string]string{"app": "lis"}, HostNetwork: true}}, policies: lets(from(nil))},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.pods == nil {
				test.pods = lis
			}
			if test.ours == nil {
				test.ours = &ours
			}
			got := reach.OpenedWider(world(test.pods, test.policies...), reach.Query{Namespace: "pathology", Ours: *test.ours, Policy: "labguard-lis", Accepted: test.accepted})
			var texts []string
			for _, finding := range got.Findings {
				texts = append(texts, finding.Text)
			}
			if diff := cmp.Diff(test.want, texts); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.notes, got.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			if policies := got.Policies(); len(test.want) > 0 != (len(policies) == 1 && policies[0] == "theirs") {
				t.Errorf("policies: %v", policies)
			}
		})
	}
}

func TestAFindingHasItsParts(t *testing.T) {
	w := world([]reach.Pod{pod("pathology", "lis-0", "lis", "10.0.0.1"), pod("web", "x", "x", "10.0.0.2")}, policy("theirs", ingress("lis", from(peers(podsOf("web")), numbered("UDP", 7, 9)))))
	want := []reach.Finding{{
		Policy: "theirs", Direction: in, Pod: "pathology/lis-0", Peer: "web/x", Protocol: corev1.ProtocolUDP, Port: 7,
		Text: "policy theirs lets pod web/x reach port UDP 7 of pod pathology/lis-0",
	}}
	if diff := cmp.Diff(want, reach.OpenedWider(w, reach.Query{Namespace: "pathology", Ours: ingress("lis")}).Findings); diff != "" {
		t.Error(diff)
	}
}

func TestAddressesInIPv6FormOfIPv4AreIPv4(t *testing.T) {
	lis := pod("pathology", "lis-0", "lis", "")
	lis.IPs = []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.1")}
	w := world([]reach.Pod{lis}, policy("theirs", ingress("lis", from(peers(block("10.0.0.0/8"))))))
	if got := reach.OpenedWider(w, reach.Query{Namespace: "pathology", Ours: ingress("lis")}); len(got.Findings) != 1 {
		t.Errorf("want a finding for the IPv4 block, got %v", got)
	}
}
