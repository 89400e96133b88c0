// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// dns is the DNS Service of the cluster, with the pods behind it on another port, as OpenShift has it.
const dns = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 5353}
  - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 5353}
`

// TestNetwork plays what teams declare about their network, and reads the policies that come of it.
func TestNetwork(t *testing.T) {
	withoutDNS(t)
	operator.Start(t, operator.Options{})
	t.Run("DNS is followed: the policy waits for it, and changes with it (D6)", dnsIsFollowed)
	withDNS(t)
	t.Run("in namespaces of their own", func(t *testing.T) {
		for name, test := range map[string]func(t *testing.T){
			"allowFrom opens both sides, and removing it or its LabWorkload closes both":      oneDeclarationOpensBothSides,
			"across namespaces nothing opens without consent, nor is anybody accused (D5)":    consentAcrossNamespaces,
			"only declared directions are restricted (D1)":                                    onlyDeclaredDirections,
			"pods and address blocks are peers (D2)":                                          otherPeers,
			"a Service that hides source addresses opens the port and says so (D3)":           sourceAddressLost,
			"two LabWorkloads on one pod are Overlap on both (D4)":                            overlap,
			"a foreign policy that opens wider is named, and may be accepted (D8)":            openedWider,
			"a pod in the node's network is named":                                            hostNetwork,
			"Audit writes nothing and says what Enforce would do; switching goes both ways":   auditAndBack,
			"a foreign policy with the name of the child stays as it is, and the report says": foreignPolicy,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
	t.Run("kubernetesAPI follows the endpoints", kubernetesAPIIsFollowed)
	t.Run("a policy engine that nobody can read makes it OtherPolicyEngine", otherPolicyEngine)
}

// only makes a LabWorkload that enforces its network and wants neither images nor certificates.
func only(change ...func(*v1alpha1.LabWorkloadSpec)) func(*v1alpha1.LabWorkloadSpec) {
	return func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Images = nil
		for _, one := range change {
			one(spec)
		}
	}
}

// ports declares ports with their peers; the certificate stays at Audit.
func ports(declared ...v1alpha1.TransitPort) func(*v1alpha1.LabWorkloadSpec) {
	return func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{
			Enforcement: v1alpha1.EnforcementAudit, Provider: v1alpha1.TransitProviderApplication,
			IssuerRef: v1alpha1.IssuerReference{Name: "lab-ca"}, Ports: declared,
		}}
	}
}

func port(number int32, peers ...v1alpha1.IngressPeer) v1alpha1.TransitPort {
	return v1alpha1.TransitPort{Name: fmt.Sprintf("p%d", number), Port: number, AllowFrom: peers}
}

func from(name, namespace string) v1alpha1.IngressPeer {
	return v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Name: name, Namespace: namespace}}
}

func fromBlocks(blocks ...v1alpha1.CIDR) v1alpha1.IngressPeer {
	return v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{CIDRs: blocks}}
}

// egress declares what the pods may connect to; nothing declared is an empty list.
func egress(peers ...v1alpha1.EgressPeer) func(*v1alpha1.LabWorkloadSpec) {
	return func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Network = &v1alpha1.NetworkSpec{Egress: append([]v1alpha1.EgressPeer{}, peers...)}
	}
}

func to(name, namespace string) v1alpha1.EgressPeer {
	return v1alpha1.EgressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Name: name, Namespace: namespace}}
}

// allows waits until the policy of a LabWorkload says exactly this, in the words of rules, besides DNS.
func (l *lab) allows(name string, want ...string) {
	l.Helper()
	slices.Sort(want)
	operator.Eventually(l, "the policy of LabWorkload "+name, func() error {
		policy := &networkingv1.NetworkPolicy{}
		if err := l.get("labguard-"+name, policy); err != nil {
			return err
		}
		got := slices.DeleteFunc(rules(&policy.Spec), func(rule string) bool { return strings.Contains(rule, "UDP 53,") })
		if diff := gocmp.Diff(want, got); diff != "" {
			return fmt.Errorf("it differs (-want +got):\n%s", diff)
		}
		return nil
	})
}

// rules are the restricted directions and the rules of a policy in sorted words: "Ingress from app=x on TCP 2575".
func rules(spec *networkingv1.NetworkPolicySpec) []string {
	words := []string{}
	for _, direction := range spec.PolicyTypes {
		words = append(words, string(direction)+" is restricted")
	}
	for _, rule := range spec.Ingress {
		words = append(words, rule2words("Ingress from", rule.From, rule.Ports)...)
	}
	for _, rule := range spec.Egress {
		words = append(words, rule2words("Egress to", rule.To, rule.Ports)...)
	}
	slices.Sort(words)
	return words
}

func rule2words(direction string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) []string {
	numbers := []string{}
	for _, port := range ports {
		numbers = append(numbers, fmt.Sprintf("%s %s", *port.Protocol, port.Port.String()))
	}
	on := " on " + strings.Join(numbers, ", ")
	if len(ports) == 0 {
		on = " on every port"
	}
	if len(peers) == 0 {
		return []string{direction + " everybody" + on}
	}
	var words []string
	for _, peer := range peers {
		words = append(words, direction+" "+peerWords(peer)+on)
	}
	return words
}

func peerWords(peer networkingv1.NetworkPolicyPeer) string {
	switch {
	case peer.IPBlock != nil:
		return peer.IPBlock.CIDR
	case peer.NamespaceSelector == nil:
		return metav1.FormatLabelSelector(peer.PodSelector)
	default:
		return metav1.FormatLabelSelector(peer.PodSelector) + " in " + metav1.FormatLabelSelector(peer.NamespaceSelector)
	}
}

// named is the selector of a namespace by its name, as words.
func named(namespace string) string { return "kubernetes.io/metadata.name=" + namespace }

const (
	ingressOnly = "Ingress is restricted"
	egressOnly  = "Egress is restricted"
)

func withoutDNS(t *testing.T) {
	t.Helper()
	kubectl(t, "delete", "service", "kube-dns", "-n", "kube-system", "--ignore-not-found")
}

func withDNS(t *testing.T) {
	t.Helper()
	l := &lab{TB: t}
	kubectl(t, "apply", "-f", l.file(dns))
	t.Cleanup(func() { withoutDNS(t) })
}

func kubectl(t testing.TB, words ...string) string {
	t.Helper()
	return (&lab{TB: t}).kubectl(words...)
}

func dnsIsFollowed(t *testing.T) {
	l := newLab(t)
	l.declare("lis", only(egress()))
	waiting := l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWaiting)
	if !strings.Contains(waiting.Message, "cluster DNS") {
		t.Errorf("nothing says what is waited for: %s", waiting.Message)
	}
	l.condition("lis", v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonWaiting)
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonWaiting)
	if err := l.get("labguard-lis", &networkingv1.NetworkPolicy{}); err == nil {
		t.Fatal("a policy without DNS was written: it cuts every name")
	}
	withDNS(t)
	service := &corev1.Service{}
	l.may("get", "labworkload", "lis") // the tenant may read what it waits for
	if err := l.Get(t.Context(), keyOf("kube-system", "kube-dns"), service); err != nil {
		t.Fatal(err)
	}
	ports := " on TCP 53, UDP 53, TCP 5353, UDP 5353"
	l.followsDNS("Egress to "+service.Spec.ClusterIP+"/32"+ports, "Egress to k8s-app=kube-dns in "+named("kube-system")+ports, egressOnly)
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	l.ready("lis")

	service.Spec.Selector = map[string]string{"dns": "new"}
	for i := range service.Spec.Ports {
		service.Spec.Ports[i].TargetPort = intstr.FromInt32(1053)
	}
	if err := l.Update(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	ports = strings.ReplaceAll(ports, "5353", "1053")
	changed := []string{"Egress to " + service.Spec.ClusterIP + "/32" + ports, "Egress to dns=new in " + named("kube-system") + ports, egressOnly}
	l.followsDNS(changed...)

	withoutDNS(t)
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWaiting)
	l.followsDNS(changed...) // what is known to be right once is not cut
}

// followsDNS is allows for the whole policy.
func (l *lab) followsDNS(want ...string) {
	l.Helper()
	slices.Sort(want)
	operator.Eventually(l, "the policy of LabWorkload lis", func() error {
		policy := &networkingv1.NetworkPolicy{}
		if err := l.get("labguard-lis", policy); err != nil {
			return err
		}
		if diff := gocmp.Diff(want, rules(&policy.Spec)); diff != "" {
			return fmt.Errorf("it differs (-want +got):\n%s", diff)
		}
		return nil
	})
}

func oneDeclarationOpensBothSides(t *testing.T) {
	l := newLab(t)
	l.declare("lis", only(ports(port(2575, from("engine", "")))))
	l.declare("engine", only(egress()))
	l.allows("lis", ingressOnly, "Ingress from app=engine on TCP 2575")
	l.allows("engine", egressOnly, "Egress to app=lis on TCP 2575")
	for _, name := range []string{"lis", "engine"} {
		l.condition(name, v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	}
	l.change("lis", ports(port(2575)))
	l.allows("lis", ingressOnly)
	l.allows("engine", egressOnly)
	l.change("engine", egress(to("lis", "")))
	l.allows("lis", ingressOnly, "Ingress from app=engine on TCP 2575")
	l.allows("engine", egressOnly, "Egress to app=lis on TCP 2575")
	l.may("label", "labworkload", "engine", "unrelated=yes")
	l.may("delete", "labworkload", "lis")
	l.allows("engine", egressOnly)
	l.condition("engine", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonPeerPending)
}

func consentAcrossNamespaces(t *testing.T) {
	lis, gw := newLab(t), newLab(t)
	gw.declare("gw", only(egress()))
	gw.condition("gw", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	before := version(gw, "gw")
	lis.declare("lis", only(ports(port(2575, from("gw", gw.namespace)))))
	pending := lis.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonPeerPending)
	if !strings.Contains(pending.Message, gw.namespace+"/gw") {
		t.Errorf("nothing says who has to agree: %s", pending.Message)
	}
	lis.allows("lis", ingressOnly)
	gw.allows("gw", egressOnly)
	if after := version(gw, "gw"); after != before {
		t.Errorf("LabWorkload gw was written because somebody elsewhere names it: %s, was %s", after, before)
	}
	gw.change("gw", egress(to("lis", lis.namespace)))
	lis.allows("lis", ingressOnly, "Ingress from app=gw in "+named(gw.namespace)+" on TCP 2575")
	gw.allows("gw", egressOnly, "Egress to app=lis in "+named(lis.namespace)+" on TCP 2575")
	for _, l := range []struct {
		*lab
		name string
	}{{lis, "lis"}, {gw, "gw"}} {
		l.condition(l.name, v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	}
	lis.change("lis", ports(port(2575)))
	lis.allows("lis", ingressOnly)
	gw.allows("gw", egressOnly)
	gw.condition("gw", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonPeerPending)
	lis.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
}

func version(l *lab, name string) string {
	l.Helper()
	workload := &v1alpha1.LabWorkload{}
	if err := l.get(name, workload); err != nil {
		l.Fatal(err)
	}
	return workload.ResourceVersion
}

func onlyDeclaredDirections(t *testing.T) {
	l := newLab(t)
	l.declare("minimal", only())
	l.ready("minimal")
	none := l.condition("minimal", v1alpha1.ConditionCompliant, metav1.ConditionUnknown, v1alpha1.ReasonNoRequirement)
	if none == nil || meta.FindStatusCondition(status(l, "minimal").Conditions, v1alpha1.ConditionNetworkIsolated) != nil {
		t.Error("a requirement that the spec does not make has a condition")
	}
	if found := l.kubectl("get", "networkpolicy,certificate", "-n", l.namespace, "-o", "name"); found != "" {
		t.Errorf("three lines wrote %s", found)
	}
	l.declare("closed", only(egress()))
	l.allows("closed", egressOnly)
	l.declare("listens", only(ports(port(443, fromBlocks("10.20.0.0/16")))))
	l.allows("listens", ingressOnly, "Ingress from 10.20.0.0/16 on TCP 443")
	l.change("listens", egress())
	l.allows("listens", ingressOnly, egressOnly, "Ingress from 10.20.0.0/16 on TCP 443")
	l.change("listens", only(func(spec *v1alpha1.LabWorkloadSpec) { spec.Encryption, spec.Network = nil, nil }))
	l.gone("labguard-listens", &networkingv1.NetworkPolicy{})
}

func otherPeers(t *testing.T) {
	l := newLab(t)
	everywhere := &v1alpha1.PodPeer{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: &metav1.LabelSelector{}}
	scraper := &v1alpha1.PodPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "monitoring"}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app": "prometheus"}},
	}
	near := &v1alpha1.PodPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "backup"}}}
	l.declare("lis", only(
		ports(port(9090, v1alpha1.IngressPeer{Pods: scraper}, v1alpha1.IngressPeer{Pods: near}), port(8443, v1alpha1.IngressPeer{Pods: everywhere}),
			port(2575, fromBlocks("10.20.0.0/16", "192.0.2.7/32"))),
		egress(v1alpha1.EgressPeer{CIDRs: []v1alpha1.CIDR{"10.9.0.0/16"}, Ports: []v1alpha1.PeerPort{{Port: 443}, {Port: 514, Protocol: "UDP"}}},
			v1alpha1.EgressPeer{Pods: near}),
	))
	l.allows("lis", ingressOnly, egressOnly,
		"Ingress from app=prometheus in "+named("monitoring")+" on TCP 9090", "Ingress from app=backup on TCP 9090",
		"Ingress from <none> in <none> on TCP 8443", // no requirement on either: everybody in the cluster
		"Ingress from 10.20.0.0/16 on TCP 2575", "Ingress from 192.0.2.7/32 on TCP 2575",
		"Egress to 10.9.0.0/16 on TCP 443, UDP 514", "Egress to app=backup on every port")
}

func sourceAddressLost(t *testing.T) {
	l := newLab(t)
	l.apply("apiVersion: v1\nkind: Service\nmetadata: {name: analysers}\nspec: {type: NodePort, selector: {app: lis}, ports: [{port: 2575}]}\n")
	l.declare("lis", only(ports(port(2575, fromBlocks("10.20.0.0/16")), port(9090))))
	lost := l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonSourceAddressLost)
	if !strings.Contains(lost.Message, "analysers") || !strings.Contains(lost.Message, "externalTrafficPolicy: Local") {
		t.Errorf("nothing says how to mend it: %s", lost.Message)
	}
	l.allows("lis", ingressOnly, "Ingress from everybody on TCP 2575")
	l.may("patch", "service", "analysers", "-p", `{"spec":{"externalTrafficPolicy":"Local"}}`)
	l.allows("lis", ingressOnly, "Ingress from 10.20.0.0/16 on TCP 2575")
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
}

func overlap(t *testing.T) {
	l := newLab(t)
	l.apply(deployment("lis", "registry.example/lab/lis:1"))
	l.declare("lis", only(egress()))
	l.declare("all", only(egress(), func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Selector = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpExists}}}
	}))
	for name, other := range map[string]string{"lis": "all", "all": "lis"} {
		found := l.condition(name, v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonOverlap)
		if !strings.Contains(found.Message, "LabWorkload "+other) {
			t.Errorf("%s does not name %s: %s", name, other, found.Message)
		}
	}
	l.may("delete", "labworkload", "all")
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
}

func openedWider(t *testing.T) {
	l := newLab(t)
	l.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: lis, labels: {app: lis}}\nspec: {containers: [{name: c, image: registry.example/lab/lis:1}]}\n")
	l.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: other, labels: {app: other}}\nspec: {containers: [{name: c, image: registry.example/lab/lis:1}]}\n")
	l.declare("lis", only(ports(port(2575, fromBlocks("10.20.0.0/16")))))
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	// The role edit may write NetworkPolicies: whoever opens the pods need not be who wrote the LabWorkload.
	l.apply("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: allow-all}\nspec: {podSelector: {}, ingress: [{}], policyTypes: [Ingress]}\n")
	wider := l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonOpenedWider)
	if !strings.Contains(wider.Message, "allow-all") {
		t.Errorf("the policy is not named: %s", wider.Message)
	}
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) {
		spec.Network = &v1alpha1.NetworkSpec{Accept: []v1alpha1.AcceptedPolicy{{Name: "allow-all", Reason: "the backup of the vendor"}}}
	})
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Network = nil })
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonOpenedWider)
	l.may("delete", "networkpolicy", "allow-all")
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
}

func hostNetwork(t *testing.T) {
	l := newLab(t)
	l.declare("lis", only(egress()))
	l.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: on-the-node, labels: {app: lis}}\nspec: {hostNetwork: true, containers: [{name: c, image: registry.example/lab/lis:1}]}\n")
	found := l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonHostNetwork)
	if !strings.Contains(found.Message, "on-the-node") {
		t.Errorf("the pod is not named: %s", found.Message)
	}
	l.may("delete", "pod", "on-the-node", "--now")
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
}

// surroundings are what talks to the pods of app=lis today: a neighbour, a Service with an Ingress, and a scrape target.
const surroundings = `
apiVersion: v1
kind: Pod
metadata: {name: lis, labels: {app: lis}, annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9090"}}
spec: {containers: [{name: c, image: "registry.example/lab/lis:1", ports: [{containerPort: 8080}, {containerPort: 9090}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: neighbour, labels: {app: neighbour}}
spec: {containers: [{name: c, image: "registry.example/lab/lis:1"}]}
---
apiVersion: v1
kind: Service
metadata: {name: portal}
spec: {selector: {app: lis}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: results}
spec: {defaultBackend: {service: {name: portal, port: {number: 80}}}}
`

func auditAndBack(t *testing.T) {
	l := newLab(t)
	l.apply(surroundings)
	l.declare("lis", only(ports(port(2575, fromBlocks("10.20.0.0/16")))), func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
	l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAudit)
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonAudit)
	operator.Eventually(l, "the preview of LabWorkload lis", func() error {
		preview := status(l, "lis").Preview
		if preview == nil || preview.NetworkPolicy == nil {
			return fmt.Errorf("there is none: %+v", preview)
		}
		if diff := gocmp.Diff([]string{"Ingress from 10.20.0.0/16 on TCP 2575", ingressOnly}, rules(preview.NetworkPolicy)); diff != "" {
			return fmt.Errorf("the policy differs (-want +got):\n%s", diff)
		}
		for _, loser := range []string{"pod neighbour", "Service portal", "Ingress results", "Prometheus"} {
			if !slices.ContainsFunc(preview.LosesPath, func(line string) bool { return strings.HasPrefix(line, loser) }) {
				return fmt.Errorf("%s is not among those who lose their path: %q", loser, preview.LosesPath)
			}
		}
		return nil
	})
	if err := l.get("labguard-lis", &networkingv1.NetworkPolicy{}); err == nil {
		t.Error("Audit wrote a policy")
	}
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementEnforce })
	l.allows("lis", ingressOnly, "Ingress from 10.20.0.0/16 on TCP 2575")
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	if preview := status(l, "lis").Preview; preview != nil {
		t.Errorf("there is a preview of what is in force: %+v", preview)
	}
	l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
	l.gone("labguard-lis", &networkingv1.NetworkPolicy{})
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonAudit)
}

func status(l *lab, name string) *v1alpha1.LabWorkloadStatus {
	l.Helper()
	workload := &v1alpha1.LabWorkload{}
	if err := l.get(name, workload); err != nil {
		l.Fatal(err)
	}
	return &workload.Status
}

func foreignPolicy(t *testing.T) {
	l := newLab(t)
	l.apply("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: labguard-lis}\nspec: {podSelector: {}, egress: [{}], policyTypes: [Egress]}\n")
	l.declare("lis", only(egress()))
	refused := l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	if !strings.Contains(refused.Message, "NetworkPolicy labguard-lis exists and is not labguard's") {
		t.Errorf("nothing says what is in the way: %s", refused.Message)
	}
	l.condition("lis", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonNameTaken)
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonNameTaken)
	l.followsDNS(egressOnly, "Egress to everybody on every port")
	l.may("delete", "networkpolicy", "labguard-lis")
	l.allows("lis", egressOnly)
	l.ready("lis")
}

func kubernetesAPIIsFollowed(t *testing.T) {
	l := newLab(t)
	yes := true
	l.declare("lis", only(egress(v1alpha1.EgressPeer{KubernetesAPI: &yes})))
	service, endpoints := &corev1.Service{}, &discoveryv1.EndpointSliceList{}
	if err := l.Get(t.Context(), keyOf("default", "kubernetes"), service); err != nil {
		t.Fatal(err)
	}
	// An API server on loopback, as in tests, has no endpoints of its own.
	if err := l.List(t.Context(), endpoints, client.InNamespace("default"), client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"}); err != nil {
		t.Fatal(err)
	}
	want := []string{egressOnly, "Egress to " + service.Spec.ClusterIP + "/32 on TCP 443"}
	for _, slice := range endpoints.Items {
		for _, endpoint := range slice.Endpoints {
			want = append(want, fmt.Sprintf("Egress to %s/32 on TCP %d", endpoint.Addresses[0], *slice.Ports[0].Port))
		}
	}
	l.allows("lis", want...)
	l.kubectl("apply", "-f", l.file(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes-second, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
ports: [{name: https, port: 6444, protocol: TCP}]
endpoints: [{addresses: [192.0.2.10]}]
`))
	t.Cleanup(func() {
		kubectl(t, "delete", "endpointslice", "kubernetes-second", "-n", "default", "--ignore-not-found")
	})
	l.allows("lis", append(want, "Egress to 192.0.2.10/32 on TCP 6444")...)
	l.kubectl("delete", "endpointslice", "kubernetes-second", "-n", "default")
	l.allows("lis", want...)
}

// cilium is a policy engine in as far as labguard sees one.
const cilium = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ciliumnetworkpolicies.cilium.io}
spec:
  group: cilium.io
  scope: Namespaced
  names: {kind: CiliumNetworkPolicy, listKind: CiliumNetworkPolicyList, plural: ciliumnetworkpolicies, singular: ciliumnetworkpolicy}
  versions:
  - {name: v2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

func otherPolicyEngine(t *testing.T) {
	l := newLab(t)
	l.declare("lis", only(egress()))
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
	l.kubectl("apply", "-f", l.file(cilium))
	t.Cleanup(func() { kubectl(t, "delete", "crd", "ciliumnetworkpolicies.cilium.io", "--ignore-not-found") })
	found := l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonOtherPolicyEngine)
	if !strings.Contains(found.Message, "CiliumNetworkPolicy") {
		t.Errorf("the engine is not named: %s", found.Message)
	}
	l.kubectl("delete", "crd", "ciliumnetworkpolicies.cilium.io")
	l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionUnknown, v1alpha1.ReasonNotProven)
}
