// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	pollEvery = 20 * time.Millisecond
	// namespaceTimeout is ample: what it bounds takes milliseconds.
	namespaceTimeout = time.Minute
)

// Config is the administrator's access, without a limit on requests. Each call
// returns a new one. Without Main it reaches nothing, and its host says why.
func Config() *rest.Config {
	config, err := clientcmd.BuildConfigFromFlags("", shared.Kubeconfig)
	if err != nil || shared.Kubeconfig == "" {
		return &rest.Config{Host: "https://testmain-does-not-call-cluster-main.invalid"}
	}
	config.QPS = -1
	return config
}

// Kubeconfig is the path of the administrator's kubeconfig.
func Kubeconfig() string { return shared.Kubeconfig }

// RegistryHost is the host:port of an OCI registry that speaks plain HTTP.
func RegistryHost() string { return shared.Registry }

// Node is the node of the cluster. It is all empty without WithNode.
func Node() NodeState {
	if shared.Node == nil {
		return NodeState{}
	}
	return *shared.Node
}

// EndsWithTests says that Main has started the cluster, so that nothing in it
// outlives the tests.
func EndsWithTests() bool { return os.Getenv(dirVariable) == "" }

// Restart stops the whole cluster, its node too, and starts it again from what it
// has kept, as after a power cut of which everybody was told: at the same addresses,
// but the network of the node is another one. It is only for clusters of which
// EndsWithTests says so, and nobody else may use the cluster meanwhile.
func Restart(tb testing.TB) {
	tb.Helper()
	if own.process == nil {
		tb.Fatal("restart the cluster: it was not started by these tests")
	}
	err := own.process.stop()
	// Where nothing runs, the end of the tests has nothing to stop either.
	again, startErr := start(context.WithoutCancel(tb.Context()), shared.program, shared.dir, own.options, os.Stderr)
	if startErr != nil {
		tb.Fatalf("restart the cluster: %v", errors.Join(err, startErr))
	}
	if err != nil {
		tb.Errorf("restart the cluster: %v", err)
	}
	server := Config().Host
	shared, own.process = again.instance, again
	if now := Config().Host; now != server {
		tb.Fatalf("restart the cluster: it is at %s now, and was at %s: something took its port", now, server)
	}
}

// Dir is the folder of the cluster; its logs are in the folder logs of it.
func Dir() string { return shared.dir }

// AuditLog is the path of the API server's audit log. It has one JSON line for
// each request of system:serviceaccount:labguard-system:labguard that writes,
// dry runs included, and the line is there when the request is answered. Requests
// of members of the group labguard:break-glass are there as well, reads too, and so
// are ways into pods (exec and its like, debug containers, proxies) of everybody.
func AuditLog() string { return shared.AuditLog }

// Kubectl runs kubectl as administrator and returns what it prints. The error
// has what it complains about.
func Kubectl(tb testing.TB, args ...string) (string, error) {
	tb.Helper()
	// Clean-up functions use kubectl too, and the context of their test is over.
	return shared.kubectl(context.WithoutCancel(tb.Context()), args...)
}

// Namespace makes a namespace for this test and returns its name. Bare pods can
// be created in it at once. It is deleted when the test ends, which the test
// does not wait for.
func Namespace(tb testing.TB) string {
	tb.Helper()
	client := clientset(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), namespaceTimeout)
	defer cancel()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	ns, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil {
		tb.Fatalf("create namespace: %v", err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), namespaceTimeout)
		defer cancel()
		if err := client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
			tb.Errorf("delete namespace %s: %v", ns.Name, err)
		}
	})
	// The API server refuses pods until the namespace has a service account.
	err = wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		tb.Fatalf("wait for the service account of namespace %s: %v", ns.Name, err)
	}
	return ns.Name
}

// ServiceAccountConfig is the access of a service account that exists, by a
// token of one hour. Where labguard asks for a login before it gives one away,
// and may be gone by now, the test breaks the glass.
func ServiceAccountConfig(tb testing.TB, namespace, name string) *rest.Config {
	tb.Helper()
	request := &authenticationv1.TokenRequest{}
	sealed := Config()
	sealed.Impersonate = rest.ImpersonationConfig{UserName: "sealed", Groups: []string{"system:masters", "labguard:break-glass"}}
	client, err := kubernetes.NewForConfig(sealed)
	if err != nil {
		tb.Fatalf("create client: %v", err)
	}
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(tb.Context(), name, request, metav1.CreateOptions{})
	if err != nil {
		tb.Fatalf("request a token of service account %s/%s: %v", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(Config())
	config.QPS = -1
	config.BearerToken = token.Status.Token
	return config
}

func clientset(tb testing.TB) *kubernetes.Clientset {
	tb.Helper()
	client, err := kubernetes.NewForConfig(Config())
	if err != nil {
		tb.Fatalf("create client: %v", err)
	}
	return client
}
