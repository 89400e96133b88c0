// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
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

// AuditLog is the path of the API server's audit log. It has one JSON line for
// each request of system:serviceaccount:labguard-system:labguard that writes,
// dry runs included, and the line is there when the request is answered.
func AuditLog() string { return shared.AuditLog }

// Kubectl runs kubectl as administrator and returns what it prints. The error
// has what it complains about.
func Kubectl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	return shared.kubectl(args...)
}

// Namespace makes a namespace for this test and returns its name. Bare pods can
// be created in it at once. It is deleted when the test ends, which the test
// does not wait for.
func Namespace(t testing.TB) string {
	t.Helper()
	client := clientset(t)
	ctx, cancel := context.WithTimeout(t.Context(), namespaceTimeout)
	defer cancel()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	ns, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), namespaceTimeout)
		defer cancel()
		if err := client.CoreV1().Namespaces().Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete namespace %s: %v", ns.Name, err)
		}
	})
	// The API server refuses pods until the namespace has a service account.
	err = wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("wait for the service account of namespace %s: %v", ns.Name, err)
	}
	return ns.Name
}

// ServiceAccountConfig is the access of a service account that exists, by a
// token of one hour.
func ServiceAccountConfig(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	token, err := clientset(t).CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("request a token of service account %s/%s: %v", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(Config())
	config.QPS = -1
	config.BearerToken = token.Status.Token
	return config
}

func clientset(t testing.TB) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(Config())
	if err != nil {
		t.Fatalf("create client: %v", err)
	}
	return client
}
