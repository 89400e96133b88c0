// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

const (
	// labguardUser is who labguard is in these tests.
	labguardUser = "system:serviceaccount:labguard-system:labguard"
	// patience bounds what normally takes a second or less.
	patience = time.Minute
	// pollEvery is how often a condition is looked at.
	pollEvery = 25 * time.Millisecond
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m, cluster.WithCRDs("testdata/rollouts.yaml"))) }

// lab is one namespace with a tenant who may edit it.
type lab struct {
	*testing.T
	namespace string
	// tenant is the name of the person with the ClusterRole edit.
	tenant string
}

func newLab(t *testing.T) lab {
	t.Helper()
	t.Parallel()
	return labIn(t, cluster.Namespace(t))
}

func labIn(t *testing.T, namespace string) lab {
	t.Helper()
	l := lab{T: t, namespace: namespace, tenant: "tenant-of-" + namespace}
	l.bind("edit", l.tenant)
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

// bind gives a user a ClusterRole in the namespace. A ServiceAccount is given by its user name too.
func (l lab) bind(role, user string) {
	l.Helper()
	_, err := l.typed("").RbacV1().RoleBindings(l.namespace).Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: role + "-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	l.must(err)
	l.awaitRight(user, "apps", "deployments", "", "create")
}

// awaitRight returns when the API server has taken notice of a right.
func (l lab) awaitRight(user, group, resource, subresource, verb string) {
	l.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: l.namespace, Group: group, Resource: resource, Subresource: subresource, Verb: verb,
		},
	}}
	reviews := l.typed("").AuthorizationV1().SubjectAccessReviews()
	l.eventually(user+" gets the right", func(ctx context.Context) (bool, error) {
		answer, err := reviews.Create(ctx, review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed, err
	})
}

// allow gives a user verbs in the namespace.
func (l lab) allow(user, group, resource string, verbs ...string) {
	l.Helper()
	roles, meta := l.typed("").RbacV1(), metav1.ObjectMeta{GenerateName: "allow-"}
	role, err := roles.Roles(l.namespace).Create(l.Context(), &rbacv1.Role{
		ObjectMeta: meta,
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}},
	}, metav1.CreateOptions{})
	l.must(err)
	_, err = roles.RoleBindings(l.namespace).Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	l.must(err)
	main, subresource, _ := strings.Cut(resource, "/")
	for _, verb := range verbs {
		l.awaitRight(user, group, main, subresource, verb)
	}
}

// access is that of a user, or of the administrator if user is empty.
func access(user string) *rest.Config {
	config := cluster.Config()
	config.WarningHandlerWithContext = rest.NoWarnings{}
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return config
}

func (l lab) typed(user string) *kubernetes.Clientset {
	l.Helper()
	client, err := kubernetes.NewForConfig(access(user))
	l.must(err)
	return client
}

func (l lab) dynamic(user string) dynamic.Interface {
	l.Helper()
	client, err := dynamic.NewForConfig(access(user))
	l.must(err)
	return client
}

// kubectl runs kubectl as the tenant in the namespace.
func (l lab) kubectl(args ...string) error {
	l.Helper()
	_, err := cluster.Kubectl(l, append([]string{"--as", l.tenant, "-n", l.namespace}, args...)...)
	return err
}

// passes fails the test if a write was refused for whatever reason.
func (l lab) passes(err error) {
	l.Helper()
	if err != nil {
		l.Errorf("refused: %v", err)
	}
}

// asked fails the test unless the API server tried to ask labguard, which is dead.
func (l lab) asked(err error) {
	l.Helper()
	if err == nil {
		l.Error("passed without being asked about")
		return
	}
	if !strings.Contains(err.Error(), "failed calling webhook") || !strings.Contains(err.Error(), ".rollouts.labguard.dev") {
		l.Errorf("refused, but not because labguard was asked: %v", err)
	}
}
