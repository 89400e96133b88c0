// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/node"
)

// nobodyIsNeeded deletes protected pods while labguard and cert-manager are away.
func nobodyIsNeeded(t *testing.T, l *lab) {
	goOn := l.stopCertManager()
	defer goOn()
	stopLabguard(t)
	defer startLabguard(t)
	for _, app := range []string{"lis", "engine", "direct"} {
		for _, pod := range l.podsOf(app) {
			l.kubectl("delete", "pod", pod.Name)
		}
		l.kubectl("rollout", "status", "deployment/"+app, "--timeout=120s")
		l.injected(app)
	}
	for _, app := range clients {
		l.flows(app)
	}
	if plaintext, encrypted := l.wires("lis"); plaintext > 0 || encrypted == 0 {
		t.Errorf("on the wire: plaintext %d, TLS %d", plaintext, encrypted)
	}
}

// stopLabguard ends labguard, until startLabguard.
func stopLabguard(t *testing.T) {
	t.Helper()
	must(t, "", "scale", "-n", system, "deployment/labguard", "--replicas=0")
	must(t, "", "wait", "-n", system, "pod", "-l", "app.kubernetes.io/name=labguard", "--for=delete", "--timeout=60s")
}

func startLabguard(t *testing.T) {
	t.Helper()
	must(t, "", "scale", "-n", system, "deployment/labguard", "--replicas=1")
	must(t, "", "rollout", "status", "-n", system, "deployment/labguard", "--timeout=120s")
}

// kubeletProbes has the network judge the node like any other: protected pods become ready all the same, as the configuration names the node.
func kubeletProbes(t *testing.T, l *lab) {
	pods, err := netip.ParsePrefix(cluster.Node().PodIPs)
	if err != nil {
		t.Fatal(err)
	}
	// The node reaches a pod from its own end of the pod's interface, which has the first address of the range.
	l.configure(t, authority(t, "lab-ca"), fmt.Sprintf("nodeAddresses: [%q, %q]\n", cluster.Node().Address+"/32", pods.Masked().Addr().Next().String()+"/32"))
	l.until("the policy of lis names the node", func() error {
		if policy := l.kubectl("get", "networkpolicy", "labguard-lis", "-o", "yaml"); !strings.Contains(policy, cluster.Node().Address+"/32") {
			return errors.New(policy)
		}
		return nil
	})
	node.Switch(t, node.Switches{Enforce: true, NodeTraffic: false})
	l.kubectl("delete", "pod", l.podsOf("lis")[0].Name)
	l.kubectl("rollout", "status", "deployment/lis", "--timeout=120s")
}

// sidecarDies kills the sidecar of a server and of a client.
func sidecarDies(t *testing.T, l *lab) {
	for _, app := range []string{"portal", "reader"} {
		pod := l.podsOf(app)[0]
		l.killAirlock(&pod)
		l.until("the sidecar of "+app+" is back", func() error {
			for _, status := range l.podsOf(app)[0].Status.InitContainerStatuses {
				if status.Name == "airlock" && status.RestartCount > 0 && status.Ready {
					return nil
				}
			}
			return fmt.Errorf("%+v", l.podsOf(app)[0].Status.InitContainerStatuses)
		})
		if again := l.podsOf(app)[0]; again.UID != pod.UID || again.Status.ContainerStatuses[0].RestartCount > 0 {
			t.Errorf("the application of %s was restarted too", app)
		}
		l.flows("reader")
	}
}

// jobCompletes runs a Job that talks to the information system through its sidecar, from its init container as well.
func jobCompletes(t *testing.T, l *lab) {
	l.apply(labWorkload("nightly", 0, ""))
	l.set("Permissive", "nightly")
	l.allow("lis", "direct", "engine", "nightly")
	l.until("the profile of nightly selects pods", func() error {
		selector := l.kubectl("get", "airlockprofiles", "labguard-nightly", "--ignore-not-found", "-o", "jsonpath={.spec.selector}")
		if selector == "" {
			return fmt.Errorf("it selects none")
		}
		return nil
	})
	l.apply(fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata: {name: nightly}
spec:
  template:
    metadata: {labels: {app: nightly}}
    spec:
      restartPolicy: Never
      initContainers: [{name: before, image: %[1]s, args: [send, --target=lis:2575, --retry, --name=nightly-init]}]
      containers: [{name: main, image: %[1]s, args: [send, --target=lis:2575, --retry, --name=nightly-main]}]
`, l.image))
	l.kubectl("wait", "job/nightly", "--for=condition=Complete", "--timeout=120s")
	if processed, doubled := l.processed("nightly-"); processed != 2 || len(doubled) > 0 {
		t.Errorf("processed %d, doubled %v", processed, doubled)
	}
}

// elsewhere shows that a pod of a namespace without a LabWorkload is what it was declared to be.
func elsewhere(t *testing.T, l *lab) {
	other := *l
	other.TB, other.namespace = t, cluster.Namespace(t)
	other.apply(podManifest("plain", "app: lis", l.image, []string{"sleep"}))
	var pod corev1.Pod
	if err := l.Get(t.Context(), client.ObjectKey{Namespace: other.namespace, Name: "plain"}, &pod); err != nil {
		t.Fatal(err)
	}
	if len(pod.Spec.InitContainers) > 0 || len(pod.Labels) != 1 || len(pod.Spec.HostAliases) > 0 || len(pod.Spec.Volumes) != 1 {
		t.Errorf("labels %v, init containers %v, volumes %v", pod.Labels, pod.Spec.InitContainers, pod.Spec.Volumes)
	}
}

// allow has a LabWorkload let in these LabWorkloads and no others.
func (l *lab) allow(name string, allowed ...string) {
	l.Helper()
	l.kubectl("patch", "labworkload", name, "--type=json", "-p",
		fmt.Sprintf(`[{"op":"replace","path":"/spec/encryption/inTransit/ports/0/allowFrom","value":%s}]`, allowFrom(allowed)))
}

// removedPeer takes a client out of allowFrom: its connections end within five seconds.
func removedPeer(t *testing.T, l *lab) {
	before, err := l.stats("direct")
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	l.allow("lis", "engine", "nightly")
	l.within(10*time.Second, "the connections of direct end", func() error {
		now, err := l.stats("direct")
		if err == nil && now.Again < before.Again+4 {
			err = fmt.Errorf("%+v", now)
		}
		return err
	})
	took := time.Since(begun)
	t.Logf("from the patch of allowFrom to the end of all four connections: %s", took.Round(10*time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("that is more than five seconds")
	}
	stuck, err := l.stats("direct")
	if err != nil {
		t.Fatal(err)
	}
	l.flows("behind")
	if now, err := l.stats("direct"); err != nil || now.Acknowledged > stuck.Acknowledged {
		t.Errorf("a removed peer goes on: %+v, then %+v, %v", stuck, now, err)
	}
	l.allow("lis", "direct", "engine", "nightly")
	l.flows("direct")
}

func (l *lab) with(t *testing.T) *lab {
	other := *l
	other.TB = t
	return &other
}
