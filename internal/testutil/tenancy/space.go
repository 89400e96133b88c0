// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tenancy

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	// Labguard is who labguard is in these tests, whether it runs or not.
	Labguard = "system:serviceaccount:labguard-system:labguard"
	// Patience bounds what normally takes a second or less.
	Patience = time.Minute
	// PollEvery is how often a condition is looked at.
	PollEvery = 25 * time.Millisecond
)

// Space is one namespace.
type Space struct {
	*testing.T
	Namespace string
	// Tenant is the name of the person with the ClusterRole edit.
	Tenant string
}

// New makes a namespace with a tenant.
func New(t *testing.T) Space {
	t.Helper()
	return In(t, cluster.Namespace(t))
}

// In gives a namespace that exists a tenant.
func In(t *testing.T, namespace string) Space {
	t.Helper()
	s := Space{T: t, Namespace: namespace, Tenant: "tenant-of-" + namespace}
	s.Bind("edit", s.Tenant)
	return s
}

// Must ends the test on an error.
func (s Space) Must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// Eventually ends the test if done does not become true.
func (s Space) Eventually(what string, done func(context.Context) (bool, error)) {
	s.Helper()
	if err := wait.PollUntilContextTimeout(s.Context(), PollEvery, Patience, true, done); err != nil {
		s.Fatalf("%s: %v", what, err)
	}
}

// Passes fails the test if a write was refused for whatever reason.
func (s Space) Passes(err error) {
	s.Helper()
	if err != nil {
		s.Errorf("refused: %v", err)
	}
}

// Access is that of a user, or of the administrator if user is empty.
func Access(user string) *rest.Config {
	config := cluster.Config()
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return config
}

// Typed is a client with the access of a user.
func (s Space) Typed(user string) *kubernetes.Clientset {
	s.Helper()
	client, err := kubernetes.NewForConfig(Access(user))
	s.Must(err)
	return client
}
