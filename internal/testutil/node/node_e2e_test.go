//go:build e2e

// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/image"
	"github.com/labguard/labguard/internal/testutil/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

const (
	// longest bounds each wait; what is waited for takes seconds.
	longest = time.Minute
	every   = 100 * time.Millisecond
)

func clientset(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func probeImage(t *testing.T) string {
	t.Helper()
	return node.Push(t, image.Program{Package: "./probe", Repository: "test/probe"})
}

// newPod is a pod that serves on 8080, named web, and 9090.
func newPod(name, image string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64),
			Containers: []corev1.Container{{
				Name: "probe", Image: image, Args: []string{"serve", "8080", "9090"},
				Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}},
			}},
		},
	}
}

// run creates pods and returns them once all are ready.
func run(t *testing.T, namespace string, pods ...*corev1.Pod) map[string]*corev1.Pod {
	t.Helper()
	client := clientset(t).CoreV1().Pods(namespace)
	for _, p := range pods {
		if _, err := client.Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	running := map[string]*corev1.Pod{}
	eventually(t, "all pods are ready", func(ctx context.Context) error {
		for _, p := range pods {
			now, err := client.Get(ctx, p.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			ready := func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue }
			if !slices.ContainsFunc(now.Status.Conditions, ready) {
				return fmt.Errorf("pod %s is not ready: %+v", p.Name, now.Status.ContainerStatuses)
			}
			running[p.Name] = now
		}
		return nil
	})
	return running
}

func eventually(t *testing.T, what string, condition func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), every, longest, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

// in runs the probe in a pod.
func in(t *testing.T, namespace, pod string, args ...string) (string, error) {
	t.Helper()
	return cluster.Kubectl(t, append([]string{"exec", "-n", namespace, pod, "--", "/probe"}, args...)...)
}

// fromNode asks a server from the node itself.
func fromNode(ctx context.Context, address string) (string, error) {
	const timeout = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := node.Dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// serves returns when the server in a pod answers: a pod without a probe is ready before its program listens.
func serves(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	eventually(t, "the server answers", func(ctx context.Context) error {
		answer, err := fromNode(ctx, net.JoinHostPort(pod.Status.PodIP, "8080"))
		if err == nil && answer != pod.Name {
			err = fmt.Errorf("it says %q", answer)
		}
		return err
	})
}

func TestPodRunsAndAnswersAtItsAddress(t *testing.T) {
	t.Parallel()
	n, err := clientset(t).CoreV1().Nodes().Get(t.Context(), cluster.Node().Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready := func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	if !slices.ContainsFunc(n.Status.Conditions, ready) {
		t.Errorf("the node is not ready: %+v", n.Status.Conditions)
	}
	namespace := cluster.Namespace(t)
	pod := run(t, namespace, newPod("server", probeImage(t)))["server"]
	serves(t, pod)
	eventually(t, "its log is read", func(context.Context) error {
		if logs, err := cluster.Kubectl(t, "logs", "-n", namespace, "server"); err != nil || logs != "serving 8080 9090\n" {
			return fmt.Errorf("got logs %q, %w", logs, err)
		}
		return nil
	})
	name, err := node.PodInterface(pod.Status.PodIP)
	if err != nil || !strings.HasPrefix(name, "veth") {
		t.Errorf("the pod has interface %q, %v", name, err)
	}
	if _, err := net.InterfaceByName(name); err == nil {
		t.Errorf("the machine itself has an interface %s", name)
	}
}

func TestPodsFindServices(t *testing.T) {
	t.Parallel()
	namespace, image := cluster.Namespace(t), probeImage(t)
	behindHeadless := newPod("second", image)
	behindHeadless.Spec.Hostname, behindHeadless.Spec.Subdomain = "second", "peers"
	behindHeadless.Labels["headless"] = "yes"
	services := clientset(t).CoreV1().Services(namespace)
	for _, s := range []*corev1.Service{
		{
			ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: corev1.ServiceSpec{
				Selector: map[string]string{"app": "server"},
				Ports: []corev1.ServicePort{
					{Name: "tcp", Port: 80, TargetPort: portOf("web")},
					{Name: "udp", Protocol: corev1.ProtocolUDP, Port: 80, TargetPort: portOf("8080")},
				},
			},
		},
		{
			ObjectMeta: metav1.ObjectMeta{Name: "peers"},
			Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"headless": "yes"}},
		},
	} {
		if _, err := services.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	pods := run(t, namespace, newPod("server", image), behindHeadless, newPod("client", image))
	for _, c := range []struct{ kind, address, answer string }{
		{"tcp", "web:80", "server"},
		{"tcp", "web." + namespace + ":80", "server"},
		{"tcp", "web." + namespace + ".svc.cluster.local:80", "server"},
		{"udp", "web:80", "server"},
		{"tcp", "peers:8080", "second"},
		{"tcp", "second.peers:9090", "second"},
		{"lookup", "second.peers." + namespace + ".svc.cluster.local", pods["second"].Status.PodIP + "\n"},
	} {
		eventually(t, c.kind+" "+c.address, func(context.Context) error {
			if answer, err := in(t, namespace, "client", c.kind, c.address); err != nil || answer != c.answer {
				return fmt.Errorf("got %q, %w, want %q", answer, err, c.answer)
			}
			return nil
		})
	}
	for _, missing := range []string{"absent", "absent." + namespace + ".svc.cluster.local", "third.peers", "example.invalid"} {
		if out, err := in(t, namespace, "client", "lookup", missing); err == nil || !strings.Contains(err.Error(), "no such host") {
			t.Errorf("%s should not exist: %q, %v", missing, out, err)
		}
	}
}

func TestPodsReachTheControlPlane(t *testing.T) {
	t.Parallel()
	namespace := cluster.Namespace(t)
	run(t, namespace, newPod("client", probeImage(t)))
	// Neither says a word first: what is seen is that they accept connections.
	for _, address := range []string{"kubernetes.default:443", cluster.Node().Registry} {
		if _, err := in(t, namespace, "client", "tcp", address); err == nil || !strings.Contains(err.Error(), "i/o timeout") || strings.Contains(err.Error(), "dial") {
			t.Errorf("%s does not accept a connection: %v", address, err)
		}
	}
}
