// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
)

var (
	names      = []string{"a", "b", "c"}
	namespaces = []string{"pathology", "chemistry"}
	numbers    = []int32{1, 2, 3}
)

// world draws up to six LabWorkloads in two namespaces that name each other, and others, at random.
func world(t *rapid.T) []*v1alpha1.LabWorkload {
	number, namespace := rapid.SampledFrom(numbers), rapid.SampledFrom([]string{"", "pathology", "chemistry"})
	name := rapid.SampledFrom(append(names, "absent"))
	ports := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) v1alpha1.PeerPort {
		return rapid.SampledFrom([]v1alpha1.PeerPort{tcp(1), tcp(2), tcp(3), {Port: 2}, udp(1)}).Draw(t, "port")
	}), 0, 2)
	ingress := rapid.Custom(func(t *rapid.T) v1alpha1.IngressPeer {
		return rapid.OneOf(
			rapid.Custom(func(t *rapid.T) v1alpha1.IngressPeer { return from(namespace.Draw(t, "ns"), name.Draw(t, "name")) }),
			rapid.SampledFrom([]v1alpha1.IngressPeer{fromOutside("10.0.0.0/8"), fromPods(nil, labelled("scraper")), {}}),
		).Draw(t, "ingress peer")
	})
	outgoing := rapid.Custom(func(t *rapid.T) v1alpha1.EgressPeer {
		return rapid.OneOf(
			rapid.Custom(func(t *rapid.T) v1alpha1.EgressPeer {
				return to(namespace.Draw(t, "ns"), name.Draw(t, "name"), ports.Draw(t, "ports")...)
			}),
			rapid.SampledFrom([]v1alpha1.EgressPeer{toAPI(), toBlocks("10.0.0.0/8", tcp(443)), toPods(nil, labelled("db")), {}}),
		).Draw(t, "egress peer")
	})
	var all []*v1alpha1.LabWorkload
	for _, ns := range namespaces {
		for _, n := range names {
			if rapid.IntRange(0, 5).Draw(t, "absent") == 0 {
				continue
			}
			lw := workload(ns, n)
			for _, p := range rapid.SliceOfNDistinct(number, 0, 3, rapid.ID).Draw(t, "declared") {
				port(p, rapid.SliceOfN(ingress, 0, 3).Draw(t, "allowFrom")...)(lw)
			}
			if rapid.Bool().Draw(t, "restricts egress") {
				egress(rapid.SliceOfN(outgoing, 0, 3).Draw(t, "egress")...)(lw)
			}
			all = append(all, lw)
		}
	}
	return all
}

func services(t *rapid.T) []corev1.Service {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.Service {
		return service(rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom([]corev1.ServiceType{"NodePort", "ClusterIP"}).Draw(t, "type"),
			intstr.FromInt32(rapid.SampledFrom(numbers).Draw(t, "target")), func(s *corev1.ServiceSpec) {
				s.Selector = map[string]string{"app": rapid.SampledFrom(names).Draw(t, "selects")}
			})
	}), 0, 3).Draw(t, "services")
}

func TestNoRuleIsEverWithoutPeersUnlessASourceIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, around := world(t), services(t)
		for _, lw := range all {
			spec, notes := desired.NetworkPolicy(lw, desired.NetworkFacts{Peers: desired.NewPeers(all...), Cluster: cluster(), Services: around})
			if spec == nil {
				continue
			}
			for _, rule := range spec.Ingress {
				lost := slices.ContainsFunc(notes.SourceAddressLost, func(n desired.ServiceNote) bool { return n.Port == rule.Ports[0].Port.IntVal })
				if (len(rule.From) == 0) != lost || len(rule.Ports) != 1 {
					t.Fatalf("%s/%s: rule %v, source lost: %v", lw.Namespace, lw.Name, rule, lost)
				}
			}
			for _, rule := range spec.Egress {
				if len(rule.To) == 0 {
					t.Fatalf("%s/%s: egress rule to everybody: %v", lw.Namespace, lw.Name, rule)
				}
			}
		}
	})
}

func TestBothSidesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := world(t)
		peers := desired.NewPeers(all...)
		specs := map[*v1alpha1.LabWorkload]*networkingv1.NetworkPolicySpec{}
		for _, lw := range all {
			specs[lw], _ = desired.NetworkPolicy(lw, desired.NetworkFacts{Peers: peers, Cluster: cluster()})
		}
		for _, client := range all {
			for _, server := range all {
				inbound, _ := desired.Restricts(server)
				_, outbound := desired.Restricts(client)
				if !inbound || !outbound {
					continue
				}
				for _, p := range []v1alpha1.PeerPort{tcp(1), tcp(2), tcp(3), udp(1)} {
					opens, lets := sends(specs[client], client, server, p), admits(specs[server], client, server, p)
					if opens != lets {
						t.Fatalf("%s/%s opens %s %d to %s/%s: %v; that one lets it in: %v", client.Namespace, client.Name, p.Protocol, p.Port, server.Namespace, server.Name, opens, lets)
					}
				}
			}
		}
	})
}

func sends(spec *networkingv1.NetworkPolicySpec, client, server *v1alpha1.LabWorkload, p v1alpha1.PeerPort) bool {
	return slices.ContainsFunc(spec.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return includes(rule.To, client, server) && carries(rule.Ports, p)
	})
}

func admits(spec *networkingv1.NetworkPolicySpec, client, server *v1alpha1.LabWorkload, p v1alpha1.PeerPort) bool {
	return slices.ContainsFunc(spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return includes(rule.From, server, client) && carries(rule.Ports, p)
	})
}

// includes says whether other is among the peers of a policy of lw.
func includes(peers []networkingv1.NetworkPolicyPeer, lw, other *v1alpha1.LabWorkload) bool {
	return slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		namespace := lw.Namespace
		if peer.NamespaceSelector != nil {
			namespace = peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName]
		}
		return peer.PodSelector != nil && peer.PodSelector.MatchLabels["app"] == other.Name && namespace == other.Namespace
	})
}

func carries(ports []networkingv1.NetworkPolicyPort, p v1alpha1.PeerPort) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(port networkingv1.NetworkPolicyPort) bool {
		return port.Port.IntVal == p.Port && string(*port.Protocol) == string(p.Protocol)
	})
}

func TestTheOrderOfTheInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, around := world(t), services(t)
		for _, lw := range all {
			first := rendered(lw, all, around)
			other := lw.DeepCopy()
			shuffle(t, other)
			mixed := slices.Clone(all)
			for i := range mixed {
				if mixed[i] == lw {
					mixed[i] = other
				}
			}
			mixed = rapid.Permutation(mixed).Draw(t, "order")
			turned := slices.Clone(around)
			slices.Reverse(turned)
			if diff := gocmp.Diff(first, rendered(other, mixed, turned)); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func rendered(lw *v1alpha1.LabWorkload, all []*v1alpha1.LabWorkload, around []corev1.Service) result {
	spec, notes := desired.NetworkPolicy(lw, desired.NetworkFacts{Peers: desired.NewPeers(all...), Cluster: cluster(), Services: around})
	return result{Policy: desired.NetworkPolicyApply(lw, spec), Notes: notes}
}

func shuffle(t *rapid.T, lw *v1alpha1.LabWorkload) {
	if lw.Spec.Encryption != nil {
		transit := lw.Spec.Encryption.InTransit
		transit.Ports = rapid.Permutation(transit.Ports).Draw(t, "order of ports")
		for _, p := range transit.Ports {
			slices.Reverse(p.AllowFrom)
		}
	}
	if lw.Spec.Network != nil {
		slices.Reverse(lw.Spec.Network.Egress)
		for _, entry := range lw.Spec.Network.Egress {
			slices.SortFunc(entry.Ports, func(a, b v1alpha1.PeerPort) int { return cmp.Compare(fmt.Sprint(b), fmt.Sprint(a)) })
		}
	}
}
