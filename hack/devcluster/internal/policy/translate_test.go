// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The pods of all tests: two in the lab, of which one has two containers with a
// port of the same name, and one in the office.
const (
	lis    = "10.0.0.1"
	engine = "10.0.0.2"
	office = "10.0.1.1"
)

func testCluster(t *testing.T, policies ...string) Cluster {
	t.Helper()
	c := Cluster{
		Namespaces: map[string]map[string]string{
			"lab":    {"team": "lab", "kubernetes.io/metadata.name": "lab"},
			"office": {"team": "office", "kubernetes.io/metadata.name": "office"},
		},
		Pods: []Pod{
			{Namespace: "office", Name: "desk", Labels: map[string]string{"app": "desk"}, Address: netip.MustParseAddr(office)},
			{
				Namespace: "lab", Name: "engine", Labels: map[string]string{"app": "engine", "tier": "back"}, Address: netip.MustParseAddr(engine),
				Ports: []corev1.ContainerPort{{Name: "mllp", ContainerPort: 2575}, {Name: "mllp", ContainerPort: 2576}, {Name: "mllp", ContainerPort: 2577, Protocol: corev1.ProtocolUDP}},
			},
			{
				Namespace: "lab", Name: "lis", Labels: map[string]string{"app": "lis"}, Address: netip.MustParseAddr(lis),
				Ports: []corev1.ContainerPort{{Name: "mllp", ContainerPort: 3575, Protocol: corev1.ProtocolTCP}},
			},
		},
	}
	for _, text := range policies {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "tested"}}
		if err := yaml.UnmarshalStrict([]byte(text), &p.Spec); err != nil {
			t.Fatal(err)
		}
		c.Policies = append(c.Policies, p)
	}
	return c
}

// describe is one line for each pod that is isolated, and one for each allowance.
func describe(verdicts []Verdict) []string {
	var lines []string
	for _, v := range verdicts {
		for direction, allowed := range map[string][]Allowance{ingress: v.Ingress, egress: v.Egress} {
			if allowed == nil {
				continue
			}
			line := v.Pod.Name + " " + direction + ":"
			for _, a := range allowed {
				line += " [" + strings.TrimSuffix(a.rule(direction), " return") + "]"
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestWhatPoliciesAllow(t *testing.T) {
	for name, c := range map[string]struct {
		policies []string
		want     []string
	}{
		"no policy isolates nobody": {nil, nil},
		"an empty policy isolates all of its namespace from ingress": {
			[]string{`podSelector: {}`},
			[]string{"lis ingress:", "engine ingress:"},
		},
		"rules for egress isolate from it without a type": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, egress: [{}]}`},
			[]string{"lis ingress:", "lis egress: [return]"},
		},
		"a type alone isolates in that direction only": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, policyTypes: [Egress], ingress: [{}]}`},
			[]string{"lis egress:"},
		},
		"an empty rule allows everything": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{}]}`},
			[]string{"lis ingress: [return]"},
		},
		"policies add up": {
			[]string{
				`{podSelector: {matchLabels: {app: lis}}, ingress: [{ports: [{port: 1}]}]}`,
				`{podSelector: {matchLabels: {app: lis}}, ingress: [{ports: [{port: 2}]}]}`,
				`{podSelector: {}}`,
			},
			[]string{"lis ingress: [tcp dport 1] [tcp dport 2]", "engine ingress:"},
		},
		"a pod selector means the namespace of the policy": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{from: [{podSelector: {}}]}]}`},
			[]string{"lis ingress: [ip saddr { " + lis + ", " + engine + " }]"},
		},
		"a namespace selector means all of its pods": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: office}}}]}]}`},
			[]string{"lis ingress: [ip saddr { " + office + " }]"},
		},
		"both selectors of one peer have to match": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}]}]}`},
			[]string{"lis ingress: [ip saddr { " + engine + " }]"},
		},
		"of two peers one has to": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: office}}}, {podSelector: {matchLabels: {app: engine}}}]}]}`},
			[]string{"lis ingress: [ip saddr { " + engine + ", " + office + " }]"},
		},
		"a peer that selects nobody allows nothing": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}]}`},
			[]string{"lis ingress:"},
		},
		"an address block has exceptions": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}], ports: [{port: 5}]}], policyTypes: [Egress]}`},
			[]string{"lis egress: [ip daddr { 10.0.0.0/8 } ip daddr != { 10.1.0.0/16, 10.2.0.0/16 } tcp dport 5]"},
		},
		"a block of IPv6 is nobody's": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{from: [{ipBlock: {cidr: "::/0"}}]}]}`},
			[]string{"lis ingress:"},
		},
		"ports have protocols and ranges": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{ports: [{protocol: UDP, port: 53}, {protocol: SCTP, port: 10, endPort: 20}, {protocol: UDP}]}]}`},
			[]string{"lis ingress: [udp dport 53] [sctp dport 10-20] [meta l4proto udp]"},
		},
		"a named port of ingress is one of the pod itself": {
			[]string{`{podSelector: {}, ingress: [{ports: [{port: mllp}]}]}`},
			[]string{"lis ingress: [tcp dport 3575]", "engine ingress: [tcp dport 2575] [tcp dport 2576]"},
		},
		"a named port that the pod has not allows nothing": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, ingress: [{ports: [{protocol: UDP, port: mllp}]}]}`},
			[]string{"lis ingress:"},
		},
		"a named port of egress is one of each peer": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: mllp}]}]}`},
			[]string{"lis egress: [ip daddr { " + lis + " } tcp dport 3575] [ip daddr { " + engine + " } tcp dport 2575] [ip daddr { " + engine + " } tcp dport 2576]"},
		},
		"a named port of egress to everybody is one of each pod": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: mllp}]}]}`},
			[]string{"lis egress: [ip daddr { " + engine + " } udp dport 2577]"},
		},
		"a named port of a block is nobody's": {
			[]string{`{podSelector: {matchLabels: {app: lis}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: mllp}]}]}`},
			[]string{"lis egress:"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			verdicts, err := testCluster(t, c.policies...).Verdicts()
			if err != nil {
				t.Fatal(err)
			}
			got := describe(verdicts)
			// Directions of one pod come in any order.
			if !sameLines(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func sameLines(a, b []string) bool {
	count := map[string]int{}
	for _, line := range a {
		count[strings.ReplaceAll(line, "[]", "[return]")]++
	}
	for _, line := range b {
		count[line]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestPolicyOfAnotherNamespaceIsNotAboutThePod(t *testing.T) {
	c := testCluster(t, `podSelector: {}`)
	c.Policies[0].Namespace = "office"
	verdicts, err := c.Verdicts()
	if got := describe(verdicts); err != nil || !reflect.DeepEqual(got, []string{"desk ingress:"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestUnreadableSelectorIsAnErrorThatNamesThePolicy(t *testing.T) {
	c := testCluster(t, `podSelector: {matchExpressions: [{key: app, operator: Like}]}`)
	if _, err := c.Verdicts(); err == nil || !strings.Contains(err.Error(), "lab/tested") {
		t.Errorf("got %v", err)
	}
}

func TestNamedPortsAreThoseOfContainersThatRunTogether(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	port := func(number int32) []corev1.ContainerPort { return []corev1.ContainerPort{{ContainerPort: number}} }
	got := NamedPorts(&corev1.PodSpec{
		InitContainers: []corev1.Container{{Ports: port(1)}, {Ports: port(2), RestartPolicy: &always}},
		Containers:     []corev1.Container{{Ports: port(3)}},
	})
	if len(got) != 2 || got[0].ContainerPort != 2 || got[1].ContainerPort != 3 {
		t.Errorf("got %v", got)
	}
}
