// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/node"
)

const (
	mllpPort = 2575
	httpPort = 8080
)

// running starts a laboratory in plaintext: an information system of two replicas, an analyser that sends to it, an interface engine that listens on the
// port that it dials, an analyser behind that, and a portal with its reader.
func running(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	l.apply(l.deployment("lis", 2, mllpPort, "lis", "--listen=:2575", "--journal=/journals/$(POD)") + service("lis", mllpPort) +
		l.deployment("engine", 1, mllpPort, "engine", "--listen=:2575", "--target=lis:2575") + service("engine", mllpPort) +
		l.deployment("portal", 1, httpPort, "portal", "--listen=:8080") + service("portal", httpPort) +
		l.deployment("direct", 1, 0, "analyzer", "--target=lis:2575", "--final=/journals/final-$(POD)") +
		l.deployment("behind", 1, 0, "analyzer", "--target=engine:2575", "--connections=1", "--final=/journals/final-$(POD)") +
		l.deployment("reader", 1, 0, "reader", "--target=portal:8080"))
	for _, app := range []string{"lis", "engine", "portal", "direct", "behind", "reader"} {
		l.kubectl("rollout", "status", "deployment/"+app, "--timeout=180s")
	}
	for _, app := range []string{"direct", "behind", "reader"} {
		l.flows(app)
	}
	return l
}

// declared are the LabWorkloads of that laboratory, at stage Observe.
func declared() string {
	return labWorkload("lis", mllpPort, "", "direct", "engine") +
		labWorkload("engine", mllpPort, "\n      clientPath: Redirect", "behind") +
		labWorkload("portal", httpPort, "", "reader") +
		labWorkload("direct", 0, "") + labWorkload("behind", 0, "") + labWorkload("reader", 0, "")
}

var (
	servers = []string{"lis", "engine", "portal"}
	clients = []string{"direct", "behind", "reader"}
	all     = append(append([]string{}, servers...), clients...)
)

// adopt takes the laboratory from plaintext to Strict while it works.
func (l *lab) adopt() {
	l.Helper()
	l.apply(declared())
	for _, name := range all {
		l.stage(name, v1alpha1.TransitStageObserve)
	}
	for _, name := range servers {
		l.condition(name, v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonObserving)
	}
	l.set(v1alpha1.TransitStagePermissive, all...)
	for _, name := range all {
		l.stage(name, v1alpha1.TransitStagePermissive)
		l.condition(name, v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	}
	l.replace(all...)
	l.injected(all...)
	// The servers came first, so that their airlocks have seen clients without one. A week would forget them; so does another rollout.
	l.replace(servers...)
	for _, app := range clients {
		l.flows(app)
	}
	l.set(v1alpha1.TransitStageStrict, servers...)
	l.observed(servers...)
	for _, name := range servers {
		l.stage(name, v1alpha1.TransitStageStrict)
	}
	for _, app := range clients {
		l.flows(app)
	}
}

// TestAdoption takes a running laboratory to mutual TLS without one message lost or processed twice, and then looks at it from outside.
func TestAdoption(t *testing.T) {
	l := running(t)
	if plaintext, encrypted := l.wires("lis"); plaintext == 0 || encrypted > 0 {
		t.Fatalf("on the wire before: plaintext %d, TLS %d: the look at the wire shows nothing", plaintext, encrypted)
	}
	l.adopt()
	for _, name := range servers {
		l.condition(name, v1alpha1.ConditionTransitEncrypted, metav1.ConditionTrue, v1alpha1.ReasonSingleVantage) // there is one node
		l.condition(name, v1alpha1.ConditionNetworkIsolated, metav1.ConditionTrue, v1alpha1.ReasonIsolated)
	}
	for _, app := range servers {
		if plaintext, encrypted := l.wires(app); plaintext > 0 || encrypted == 0 {
			t.Errorf("on the wire of %s: plaintext %d, TLS %d", app, plaintext, encrypted)
		}
	}
	address := l.podsOf("lis")[0].Status.PodIP
	for name, target := range map[string]string{
		"the port of the application": fmt.Sprintf("%s:%d", address, mllpPort),
		"the port of airlock":         address + ":15100",
		"the Service":                 "lis:2575",
		"the companion Service":       "lis-mtls:2575",
		"the admin port":              address + ":15091",
	} {
		t.Run("a pod that is not allowed does not get an answer from "+name, func(t *testing.T) {
			if well, output := l.once("intruder", "app: intruder", "send", "--target="+target); well {
				t.Errorf("it got one: %s", output)
			}
		})
	}
	t.Run("a network that ignores policies is reported", func(t *testing.T) {
		node.Switch(t, node.Switches{Enforce: false, NodeTraffic: true})
		l.reprobe("lis")
		l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonPolicyIgnored)
		l.condition("lis", v1alpha1.ConditionTransitEncrypted, metav1.ConditionFalse, v1alpha1.ReasonPlaintextReachable)
	})
	t.Run("a policy of somebody else that opens the port is named", func(t *testing.T) {
		l.apply("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open}\nspec: {podSelector: {matchLabels: {app: lis}}, ingress: [{}]}\n")
		found := l.condition("lis", v1alpha1.ConditionNetworkIsolated, metav1.ConditionFalse, v1alpha1.ReasonOpenedWider)
		t.Log(found.Message)
		l.kubectl("delete", "networkpolicy", "open")
	})
	t.Run("the kubelet's probes pass where the network judges the node like any other", func(t *testing.T) { kubeletProbes(t, l.with(t)) })
	t.Run("protected pods come back and talk while labguard and cert-manager are away", func(t *testing.T) { nobodyIsNeeded(t, l.with(t)) })
	l.balance("direct")
	l.balance("behind")
	// HTTP has no acknowledgement: a request that meets a portal which is closing its idle connection is lost, with airlock and without.
	if stats, err := l.stats("reader"); err != nil || stats.Again > 2 {
		t.Errorf("the reader: %+v, %v", stats, err)
	}
	l.kubectl("scale", "deployment/direct", "deployment/behind", "--replicas=1")
	for _, app := range clients {
		l.flows(app)
	}
	t.Run("a sidecar that is killed comes back without its application", func(t *testing.T) { sidecarDies(t, l.with(t)) })
	t.Run("a Job with the sidecar completes, and its init container reaches an upstream", func(t *testing.T) { jobCompletes(t, l.with(t)) })
	t.Run("namespaces without a LabWorkload are untouched", func(t *testing.T) { elsewhere(t, l.with(t)) })
	t.Run("a certificate is renewed under load and no connection breaks", func(t *testing.T) { renewed(t, l.with(t)) })
	t.Run("the root changes under load and no connection breaks", func(t *testing.T) { rootChanged(t, l.with(t)) })
	t.Run("a removed peer loses its connections within five seconds", func(t *testing.T) { removedPeer(t, l.with(t)) })
}
