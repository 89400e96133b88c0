//go:build e2e

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/node"
)

func portOf(nameOrNumber string) intstr.IntOrString { return intstr.Parse(nameOrNumber) }

// serverPolicy isolates the server, except for the given rules.
func serverPolicy(rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "server"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}},
			Ingress:     rules,
		},
	}
}

// assertFlow waits until pod from reaches address, or does not.
func assertFlow(t *testing.T, namespace, from, address string, want bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s reaches %s: %v", from, address, want), func(ctx context.Context) error {
		var err error
		if from == "node" {
			_, err = fromNode(ctx, address)
		} else {
			_, err = in(t, namespace, from, "tcp", address)
		}
		if want {
			return err
		}
		// A server that is reached and says nothing is reached.
		if err == nil || !strings.Contains(err.Error(), "dial tcp") {
			return fmt.Errorf("it does: %w", err)
		}
		return nil
	})
}

func apply(t *testing.T, namespace string, p *networkingv1.NetworkPolicy) {
	t.Helper()
	policies := clientset(t).NetworkingV1().NetworkPolicies(namespace)
	_, err := policies.Create(t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		_, err = policies.Update(t.Context(), p, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestPoliciesHoldUnlessSwitchedOff(t *testing.T) {
	namespace, image := cluster.Namespace(t), probeImage(t)
	pods := run(t, namespace, newPod("server", image), newPod("friend", image), newPod("stranger", image))
	web, other := net.JoinHostPort(pods["server"].Status.PodIP, "8080"), net.JoinHostPort(pods["server"].Status.PodIP, "9090")
	assertFlow(t, namespace, "stranger", web, true)

	friends := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "friend"}}}
	named := portOf("web")
	apply(t, namespace, serverPolicy(networkingv1.NetworkPolicyIngressRule{
		From: []networkingv1.NetworkPolicyPeer{friends}, Ports: []networkingv1.NetworkPolicyPort{{Port: &named}},
	}))
	assertFlow(t, namespace, "stranger", web, false)
	assertFlow(t, namespace, "friend", web, true)
	assertFlow(t, namespace, "friend", other, false)
	assertFlow(t, namespace, "server", other, true) // itself
	assertFlow(t, namespace, "node", other, true)

	node.Switch(t, node.Switches{Enforce: true, NodeTraffic: false})
	assertFlow(t, namespace, "node", other, false)
	assertFlow(t, namespace, "node", net.JoinHostPort(pods["friend"].Status.PodIP, "8080"), true) // not isolated
	node.Switch(t, node.Switches{Enforce: false, NodeTraffic: false})
	assertFlow(t, namespace, "stranger", other, true)
	assertFlow(t, namespace, "node", other, true)
	node.Switch(t, node.Switches{Enforce: true, NodeTraffic: true})

	block := networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{pods["friend"].Status.PodIP + "/32"}}
	first, last := portOf("9000"), int32(9100)
	apply(t, namespace, serverPolicy(networkingv1.NetworkPolicyIngressRule{
		From: []networkingv1.NetworkPolicyPeer{{IPBlock: &block}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &first, EndPort: &last}},
	}))
	assertFlow(t, namespace, "stranger", other, true)
	assertFlow(t, namespace, "stranger", web, false)
	assertFlow(t, namespace, "friend", other, false)
}

func TestEgressIsHeldToServicesAndTheNodeItself(t *testing.T) {
	namespace, image := cluster.Namespace(t), probeImage(t)
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "server"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "server"},
			Ports:    []corev1.ServicePort{{Name: "a", Port: 80, TargetPort: portOf("8080")}, {Name: "b", Port: 90, TargetPort: portOf("9090")}},
		},
	}
	if _, err := clientset(t).CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	run(t, namespace, newPod("server", image), newPod("client", image))
	assertFlow(t, namespace, "client", "server:90", true)
	udp, dns, web := corev1.ProtocolUDP, portOf("53"), portOf("web")
	kubeSystem := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem}}
	apply(t, namespace, &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "client"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "client"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{
					To:    []networkingv1.NetworkPolicyPeer{{NamespaceSelector: kubeSystem, PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}}}},
					Ports: []networkingv1.NetworkPolicyPort{{Protocol: &udp, Port: &dns}},
				},
				{
					To:    []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}}}},
					Ports: []networkingv1.NetworkPolicyPort{{Port: &web}},
				},
			},
		},
	})
	// Rules see the addresses and ports of pods, behind those of Services.
	assertFlow(t, namespace, "client", "server:90", false)
	assertFlow(t, namespace, "client", "server:80", true)
	assertFlow(t, namespace, "client", "kubernetes.default:443", false)
	if _, err := in(t, namespace, "client", "lookup", "server"); err != nil {
		t.Errorf("DNS is allowed: %v", err)
	}
}
