// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
)

const (
	dnsPort           = 53
	kubernetesAPIPort = 443
)

// ingressRules has one rule for each port that somebody may reach, by number. Where a sidecar listens for the port, its port is open to the same
// peers; at stage Strict it is open alone, but for exceptions.
func ingressRules(lw *v1alpha1.LabWorkload, peers Peers, facts NetworkFacts, lost []ServiceNote) []networkingv1.NetworkPolicyIngressRule {
	airlock := airlockOf(lw, facts.Airlocks)
	links := map[*v1alpha1.LabWorkload]link{}
	for _, client := range peers {
		if agreed := agree(client, lw); !agreed.empty() {
			links[client] = agreed
		}
	}
	var rules []networkingv1.NetworkPolicyIngressRule
	for _, port := range slices.SortedFunc(slices.Values(declaredPorts(lw)), func(a, b v1alpha1.TransitPort) int { return cmp.Compare(a.Port, b.Port) }) {
		rule := networkingv1.NetworkPolicyIngressRule{Ports: airlock.open(port.Port)}
		isLost := slices.ContainsFunc(lost, func(note ServiceNote) bool { return note.Port == port.Port })
		if !isLost {
			for client, agreed := range links {
				if agreed.has(tcpPort(port.Port)) {
					rule.From = append(rule.From, workloadPeer(lw, client))
				}
			}
			rule.From = sortedByText(append(rule.From, otherPeers(port.AllowFrom)...))
		}
		if isLost || len(rule.From) > 0 {
			rules = append(rules, rule)
		}
		if airlock.closed(port.Port) {
			rules = append(rules, exceptionRule(port, facts.Now)...)
		}
	}
	return append(rules, serviceRules(lw, facts)...)
}

// exceptionRule opens a port in plaintext to those of its peers that have an exception which has not ended.
func exceptionRule(port v1alpha1.TransitPort, now time.Time) []networkingv1.NetworkPolicyIngressRule {
	open := slices.DeleteFunc(slices.Clone(port.AllowFrom), func(peer v1alpha1.IngressPeer) bool { return !PlaintextOpen(peer, now) })
	from := sortedByText(otherPeers(open))
	if len(from) == 0 {
		return nil
	}
	return []networkingv1.NetworkPolicyIngressRule{{From: from, Ports: []networkingv1.NetworkPolicyPort{policyPort(tcpPort(port.Port))}}}
}

// serviceRules open the ports of pods with a sidecar that belong to no declared peer: its reports to labguard, and probes to the nodes where their addresses
// are known.
func serviceRules(lw *v1alpha1.LabWorkload, facts NetworkFacts) []networkingv1.NetworkPolicyIngressRule {
	if _, has := facts.Airlocks[key(lw)]; !has && Sidecar(lw) == nil {
		return nil
	}
	var rules []networkingv1.NetworkPolicyIngressRule
	if facts.Labguard.Namespace != "" && len(facts.Labguard.Labels) > 0 {
		rules = append(rules, networkingv1.NetworkPolicyIngressRule{
			From: []networkingv1.NetworkPolicyPeer{{
				NamespaceSelector: namespaceNamed(facts.Labguard.Namespace), PodSelector: &metav1.LabelSelector{MatchLabels: maps.Clone(facts.Labguard.Labels)},
			}},
			Ports: []networkingv1.NetworkPolicyPort{policyPort(tcpPort(config.AdminPort))},
		})
	}
	if nodes := blockPeers(facts.Nodes); len(nodes) > 0 {
		probed := append([]int32{config.HealthPort}, facts.ProbePorts...)
		slices.Sort(probed)
		rule := networkingv1.NetworkPolicyIngressRule{From: nodes}
		for _, port := range slices.Compact(probed) {
			rule.Ports = append(rule.Ports, policyPort(tcpPort(port)))
		}
		rules = append(rules, rule)
	}
	return rules
}

// airlockOf is what the sidecar makes of the ports of a LabWorkload, also of one that has turned to another provider while pods still have the sidecar.
func airlockOf(lw *v1alpha1.LabWorkload, airlocks map[types.NamespacedName]Airlock) Airlock {
	return airlocks[key(lw)]
}

// closed says whether a declared port is closed in plaintext.
func (a Airlock) closed(port int32) bool {
	return a.Stage == v1alpha1.TransitStageStrict && a.Ports[port] != 0
}

// open are the ports under which peers reach a declared port.
func (a Airlock) open(port int32) []networkingv1.NetworkPolicyPort {
	var open []networkingv1.NetworkPolicyPort
	if !a.closed(port) {
		open = append(open, policyPort(tcpPort(port)))
	}
	if own := a.Ports[port]; own != 0 && a.Stage != v1alpha1.TransitStageObserve {
		open = append(open, policyPort(tcpPort(own)))
	}
	return open
}

// PlaintextOpen says whether a peer has an exception for plaintext that has not ended.
func PlaintextOpen(peer v1alpha1.IngressPeer, now time.Time) bool {
	return peer.Plaintext != nil && now.Before(peer.Plaintext.Expires.Time)
}

// otherPeers are the peers that no LabWorkload stands for.
func otherPeers(allowed []v1alpha1.IngressPeer) []networkingv1.NetworkPolicyPeer {
	var found []networkingv1.NetworkPolicyPeer
	for _, peer := range allowed {
		if peer.Pods != nil {
			found = append(found, podPeers(*peer.Pods)...)
		}
		if peer.External != nil {
			found = append(found, blockPeers(cidrTexts(peer.External.CIDRs))...)
		}
	}
	return found
}

// egressRules has the rule for DNS first, and then one rule for each of the rest. What of the cluster is not known comes back in words.
func egressRules(lw *v1alpha1.LabWorkload, peers Peers, facts NetworkFacts) (rules []networkingv1.NetworkPolicyEgressRule, missing []string) {
	for _, server := range peers {
		agreed := agree(lw, server)
		if agreed.empty() {
			continue
		}
		rule := networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{workloadPeer(lw, server)}}
		if !agreed.all {
			rule.Ports = policyPorts(throughAirlock(agreed.ports, airlockOf(server, facts.Airlocks)))
		}
		rules = append(rules, rule)
	}
	for _, entry := range egress(lw) {
		switch {
		case entry.KubernetesAPI != nil && *entry.KubernetesAPI:
			toAPI := apiRules(facts.Cluster.KubernetesAPI)
			if len(toAPI) == 0 {
				missing = append(missing, "the addresses of the Kubernetes API are not known")
			}
			rules = append(rules, toAPI...)
		case entry.Pods != nil:
			rules = append(rules, egressRule(podPeers(*entry.Pods), entry)...)
		default:
			rules = append(rules, egressRule(blockPeers(cidrTexts(entry.CIDRs)), entry)...)
		}
	}
	rules = sortedByText(rules)
	cluster := facts.Cluster
	if to := dnsPeers(cluster.DNS); len(to) > 0 {
		rules = append([]networkingv1.NetworkPolicyEgressRule{{To: to, Ports: dnsPorts(cluster.DNS)}}, rules...)
	} else {
		missing = append(missing, "the addresses of the cluster DNS are not known")
	}
	return rules, missing
}

// throughAirlock are the ports of pods with a sidecar that lead to the agreed ones.
func throughAirlock(agreed map[v1alpha1.PeerPort]bool, airlock Airlock) map[v1alpha1.PeerPort]bool {
	ports := maps.Clone(agreed)
	if airlock.Stage == v1alpha1.TransitStageObserve {
		return ports
	}
	for declared, own := range airlock.Ports {
		if !agreed[tcpPort(declared)] {
			continue
		}
		ports[tcpPort(own)] = true
		if airlock.closed(declared) {
			delete(ports, tcpPort(declared))
		}
	}
	return ports
}

// egressRule is one rule, or none if it would have no peer and thus mean everybody.
func egressRule(to []networkingv1.NetworkPolicyPeer, entry v1alpha1.EgressPeer) []networkingv1.NetworkPolicyEgressRule {
	if len(to) == 0 {
		return nil
	}
	return []networkingv1.NetworkPolicyEgressRule{{To: sortedByText(to), Ports: policyPorts(wantedPorts(entry))}}
}

func dnsPeers(dns DNS) []networkingv1.NetworkPolicyPeer {
	var to []networkingv1.NetworkPolicyPeer
	if dns.Namespace != "" && len(dns.Selector) > 0 {
		to = append(to, networkingv1.NetworkPolicyPeer{
			NamespaceSelector: namespaceNamed(dns.Namespace),
			PodSelector:       &metav1.LabelSelector{MatchLabels: maps.Clone(dns.Selector)},
		})
	}
	return append(to, blockPeers(append(blocks(dns.ClusterIPs), dns.NodeLocal...))...)
}

func dnsPorts(dns DNS) []networkingv1.NetworkPolicyPort {
	targets := append([]intstr.IntOrString{intstr.FromInt32(dnsPort)}, dns.TargetPorts...)
	targets = slices.DeleteFunc(targets, func(port intstr.IntOrString) bool { return port == intstr.IntOrString{} })
	slices.SortFunc(targets, func(a, b intstr.IntOrString) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.IntVal, b.IntVal), cmp.Compare(a.StrVal, b.StrVal))
	})
	var ports []networkingv1.NetworkPolicyPort
	for _, target := range slices.Compact(targets) {
		for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
			ports = append(ports, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &target})
		}
	}
	return ports
}

// apiRules has a rule for the Service and one for each port of the endpoints, since policies act on either.
func apiRules(api KubernetesAPI) []networkingv1.NetworkPolicyEgressRule {
	addresses := map[int32][]string{}
	for _, endpoint := range api.Endpoints {
		addresses[endpoint.Port] = append(addresses[endpoint.Port], endpoint.Address)
	}
	addresses[kubernetesAPIPort] = append(addresses[kubernetesAPIPort], api.ClusterIPs...)
	var rules []networkingv1.NetworkPolicyEgressRule
	for _, port := range slices.Sorted(maps.Keys(addresses)) {
		if to := blockPeers(addresses[port]); len(to) > 0 {
			rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: to, Ports: []networkingv1.NetworkPolicyPort{policyPort(tcpPort(port))}})
		}
	}
	return rules
}

// workloadPeer is the pods of another LabWorkload as a peer of lw.
func workloadPeer(lw, other *v1alpha1.LabWorkload) networkingv1.NetworkPolicyPeer {
	peer := networkingv1.NetworkPolicyPeer{PodSelector: other.Spec.Selector.DeepCopy()}
	if other.Namespace != lw.Namespace {
		peer.NamespaceSelector = namespaceNamed(other.Namespace)
	}
	return peer
}

func podPeers(pods v1alpha1.PodPeer) []networkingv1.NetworkPolicyPeer {
	if pods.NamespaceSelector == nil && pods.PodSelector == nil {
		return nil
	}
	return []networkingv1.NetworkPolicyPeer{{NamespaceSelector: pods.NamespaceSelector.DeepCopy(), PodSelector: pods.PodSelector.DeepCopy()}}
}

func blockPeers(texts []string) []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for _, cidr := range blocks(texts) {
		peers = append(peers, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
	}
	return peers
}

func cidrTexts(cidrs []v1alpha1.CIDR) []string {
	texts := make([]string, 0, len(cidrs))
	for _, cidr := range cidrs {
		texts = append(texts, string(cidr))
	}
	return texts
}

func namespaceNamed(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
}

func policyPorts(ports map[v1alpha1.PeerPort]bool) []networkingv1.NetworkPolicyPort {
	var found []networkingv1.NetworkPolicyPort
	for _, port := range slices.SortedFunc(maps.Keys(ports), comparePorts) {
		found = append(found, policyPort(port))
	}
	return found
}

func policyPort(port v1alpha1.PeerPort) networkingv1.NetworkPolicyPort {
	protocol, number := corev1.Protocol(port.Protocol), intstr.FromInt32(port.Port)
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &number}
}

// text is an API type with the text form that its package generates, which depends on nothing but the fields and sorts maps.
type text[T any] interface {
	*T
	fmt.Stringer
}

// sortedByText orders API values by their text form and drops duplicates.
func sortedByText[T any, P text[T]](values []T) []T {
	slices.SortFunc(values, func(a, b T) int { return cmp.Compare(P(&a).String(), P(&b).String()) })
	return slices.CompactFunc(values, func(a, b T) bool { return P(&a).String() == P(&b).String() })
}
