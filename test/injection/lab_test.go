// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// certManagerUser is who cert-manager's controller is, whether it runs or not.
const certManagerUser = "system:serviceaccount:cert-manager:cert-manager"

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases/labguard.dev_airlockprofiles.yaml")))
}

// lab is one governed namespace with a tenant who may edit it.
type lab struct{ tenancy.Space }

func newLab(t *testing.T) lab {
	t.Helper()
	t.Parallel()
	return newLabAlone(t)
}

// newLabAlone is a lab for a test that changes the whole cluster: the tests that run side by side wait for it.
func newLabAlone(t *testing.T) lab {
	t.Helper()
	l := lab{tenancy.New(t)}
	l.Allow(l.Tenant, "", "pods/ephemeralcontainers", "patch", "update")
	l.Allow(l.Tenant, "", "pods/resize", "patch", "update")
	return l
}

// in is the same lab in a subtest.
func (l lab) in(t *testing.T) lab {
	t.Helper()
	l.T = t
	return l
}

// access is that of a user; that of the administrator if user is empty. The accounts of labguard and of components of Kubernetes have every right: what refuses them is a
// policy.
func access(user string) *rest.Config {
	config := tenancy.Access(user)
	if strings.HasPrefix(user, "system:serviceaccount:") && !strings.HasPrefix(user, "system:serviceaccount:test-") {
		config.Impersonate.Groups = []string{"system:masters"}
	}
	return config
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme))
}

// clients are the clients by user: each new one would ask the API server what it serves.
var clients sync.Map

func (l lab) client(user string) client.Client {
	l.Helper()
	if known, found := clients.Load(user); found {
		c, isClient := known.(client.Client)
		if isClient {
			return c
		}
	}
	scheme, err := newScheme()
	l.Must(err)
	c, err := client.New(access(user), client.Options{Scheme: scheme})
	l.Must(err)
	clients.Store(user, c)
	return c
}

func (l lab) typed(user string) *kubernetes.Clientset {
	l.Helper()
	c, err := kubernetes.NewForConfig(access(user))
	l.Must(err)
	return c
}

// refused fails the test unless a policy refused a write, with words in its message.
func (l lab) refused(err error, policy, words string) {
	l.Helper()
	switch {
	case err == nil:
		l.Errorf("passed; %s should refuse it", policy)
	case !l.by(err, policy):
		l.Errorf("refused, but not by %s: %v", policy, err)
	case !strings.Contains(err.Error(), words):
		l.Errorf("refused by %s, but not because %q: %v", policy, words, err)
	}
}

// by says whether a policy refused a write.
func (l lab) by(err error, policy string) bool {
	return err != nil && strings.Contains(err.Error(), "'"+policy+"."+l.Namespace+"'")
}
