// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"fmt"
	"net/netip"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/posture/reach"
)

// crowd is 5,000 pods of 50 workloads, 500 of them in the namespace of the LabWorkload and 200 of those governed, with 20 policies that
// open nothing wider, which is the case that has to look at everything.
func crowd() (reach.World, networkingv1.NetworkPolicySpec) {
	var found []reach.Pod
	for i := range 5000 {
		namespace, app := fmt.Sprint("ns", i%10), fmt.Sprint("app", i/100)
		switch {
		case i < 200:
			namespace, app = "pathology", "lis"
		case i < 500:
			namespace = "pathology"
		}
		p := pod(namespace, fmt.Sprint(app, "-", i), app, "", listens("http", 8080), listens("mllp", 2575))
		p.IPs = []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i / 256), byte(i % 256)})}
		p.Labels["statefulset.kubernetes.io/pod-name"] = p.Name
		found = append(found, p)
	}
	var policies []networkingv1.NetworkPolicy
	everywhere := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
	for i := range 20 {
		policies = append(policies, policy(fmt.Sprint("q", i), ingress("", from(peers(everywhere, block("10.1.0.0/16")), tcp(2575)))))
	}
	return world(found, policies...), ingress("lis", from(peers(everywhere, block("10.0.0.0/8")), tcp(2575)))
}

func BenchmarkOpenedWiderAmong5000Pods(b *testing.B) {
	w, ours := crowd()
	for b.Loop() {
		if got := reach.OpenedWider(w, reach.Query{Namespace: "pathology", Ours: ours}); len(got.Findings) != 0 {
			b.Fatal(got)
		}
	}
}

func BenchmarkLosesPathAmong5000Pods(b *testing.B) {
	w, ours := crowd()
	for i := range w.Pods {
		w.Pods[i].Namespace = "pathology"
	}
	w.Policies = nil
	for b.Loop() {
		if got := reach.LosesPath(w, reach.Preview{LabWorkload: labWorkload(), Would: ours}); len(got) != 5000 {
			b.Fatal(len(got))
		}
	}
}
