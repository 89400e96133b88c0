// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	// labguardUser is who labguard is in these tests, certManagerUser who cert-manager's controller is, whether it runs or not.
	labguardUser    = "system:serviceaccount:labguard-system:labguard"
	certManagerUser = "system:serviceaccount:cert-manager:cert-manager"
	// patience bounds what normally takes a second or less.
	patience = time.Minute
	// pollEvery is how often a condition is looked at.
	pollEvery = 25 * time.Millisecond
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases/labguard.dev_airlockprofiles.yaml")))
}

// lab is one governed namespace with a tenant who may edit it.
type lab struct {
	*testing.T
	namespace string
	// tenant is the name of the person with the ClusterRole edit.
	tenant string
}

func newLab(t *testing.T) lab {
	t.Helper()
	t.Parallel()
	return newLabAlone(t)
}

// newLabAlone is a lab for a test that changes the whole cluster: the tests that run side by side wait for it.
func newLabAlone(t *testing.T) lab {
	t.Helper()
	l := lab{T: t, namespace: cluster.Namespace(t)}
	l.tenant = "tenant-of-" + l.namespace
	l.mayEdit(l.tenant)
	l.allow(l.tenant, "", "pods/ephemeralcontainers", "patch", "update")
	l.allow(l.tenant, "", "pods/resize", "patch", "update")
	return l
}

// in is the same lab in a subtest.
func (l lab) in(t *testing.T) lab {
	t.Helper()
	l.T = t
	return l
}

// must ends the test on an error.
func (l lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// eventually ends the test if done does not become true.
func (l lab) eventually(what string, done func(context.Context) (bool, error)) {
	l.Helper()
	if err := wait.PollUntilContextTimeout(l.Context(), pollEvery, patience, true, done); err != nil {
		l.Fatalf("%s: %v", what, err)
	}
}

// mayEdit gives a user the ClusterRole edit in the namespace.
func (l lab) mayEdit(user string) {
	l.Helper()
	l.must(l.client("").Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, GenerateName: "edit-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
	l.awaitRight(user, "", "pods", "create")
}

// allow gives a user verbs on a resource in the namespace.
func (l lab) allow(user, group, resource string, verbs ...string) {
	l.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, GenerateName: "allow-"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}},
	}
	l.must(l.client("").Create(l.Context(), role))
	l.must(l.client("").Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, GenerateName: "allow-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
	l.awaitRight(user, group, resource, verbs[0])
}

// awaitRight returns when the API server has taken notice of a right.
func (l lab) awaitRight(user, group, resource, verb string) {
	l.Helper()
	main, subresource, _ := strings.Cut(resource, "/")
	l.eventually(user+" gets the right", func(ctx context.Context) (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: l.namespace, Group: group, Resource: main, Subresource: subresource, Verb: verb,
			},
		}}
		err := l.client("").Create(ctx, review)
		return err == nil && review.Status.Allowed, err
	})
}

// access is that of a user; that of the administrator if user is empty. The accounts of labguard and of components of Kubernetes have every right: what refuses them is a
// policy.
func access(user string) *rest.Config {
	config := cluster.Config()
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
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
	l.must(err)
	c, err := client.New(access(user), client.Options{Scheme: scheme})
	l.must(err)
	clients.Store(user, c)
	return c
}

func (l lab) typed(user string) *kubernetes.Clientset {
	l.Helper()
	c, err := kubernetes.NewForConfig(access(user))
	l.must(err)
	return c
}

// passes fails the test if a write was refused for whatever reason.
func (l lab) passes(err error) {
	l.Helper()
	if err != nil {
		l.Errorf("refused: %v", err)
	}
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
	return err != nil && strings.Contains(err.Error(), "'"+policy+"."+l.namespace+"'")
}
