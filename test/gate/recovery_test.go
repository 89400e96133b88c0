// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// setRecovery sets the label to a JSON value; null removes it.
func (l lab) setRecovery(ctx context.Context, user, namespace, value string, dryRun ...string) error {
	l.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"labguard.dev/recovery-until":%s}}}`, value)
	_, err := l.Typed(user).CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun})
	return err
}

// forbidden fails the test unless the policy refused, with the words.
func (l lab) forbidden(err error, words string) {
	l.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(fmt.Sprint(err), words) {
		l.Errorf("want the policy to refuse with %q, got: %v", words, err)
	}
}

const (
	until  = `"1895000000"`
	longer = `"1896000000"`
	over   = `"1000000000"`
)

func TestTenantHasNoSayInRecovery(t *testing.T) {
	l := newLab(t)
	l.guard()
	l.Allow(l.Tenant, "", "namespaces", "get", "patch", "update")
	set := func(value string) error { return l.setRecovery(t.Context(), l.Tenant, l.Namespace, value) }
	l.forbidden(set(until), "needs the verb approve")
	l.forbidden(set(`""`), "needs the verb approve") // a selector sees an empty label too
	l.Must(l.setRecovery(t.Context(), "", l.Namespace, until))
	l.forbidden(set(longer), "needs the verb approve")
	l.forbidden(set(over), "needs the verb approve")
	l.forbidden(set("null"), "only labguard removes")
	t.Run("other labels pass", func(t *testing.T) {
		l := l.in(t)
		_, err := l.Typed(l.Tenant).CoreV1().Namespaces().Patch(t.Context(), l.Namespace, types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"team":"lis"}}}`), metav1.PatchOptions{})
		l.Passes(err)
	})
	t.Run("by its status", func(t *testing.T) {
		l := l.in(t)
		l.Allow(l.Tenant, "", "namespaces/status", "patch")
		_, err := l.Typed(l.Tenant).CoreV1().Namespaces().Patch(t.Context(), l.Namespace, types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"labguard.dev/recovery-until":"1896000000"}}}`), metav1.PatchOptions{}, "status")
		l.forbidden(err, "needs the verb approve")
	})
}

func TestNamespaceIsNotBornInRecovery(t *testing.T) {
	l := newLab(t)
	born := l.Namespace + "-born"
	l.guard(born)
	role, err := l.Typed("").RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: born},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"create"}}},
	}, metav1.CreateOptions{})
	l.Must(err)
	l.Afterwards(func(ctx context.Context) error {
		return l.Typed("").RbacV1().ClusterRoles().Delete(ctx, born, metav1.DeleteOptions{})
	})
	_, err = l.Typed("").RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: born},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: l.Tenant}},
	}, metav1.CreateOptions{})
	l.Must(err)
	l.Afterwards(func(ctx context.Context) error {
		return l.Typed("").RbacV1().ClusterRoleBindings().Delete(ctx, born, metav1.DeleteOptions{})
	})
	everywhere := lab{tenancy.Space{T: t}}
	everywhere.Await(l.Tenant, "", "namespaces", "create")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: born, Labels: map[string]string{"labguard.dev/recovery-until": "1895000000"}}}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	_, err = l.Typed(l.Tenant).CoreV1().Namespaces().Create(t.Context(), namespace, dryRun)
	l.forbidden(err, "needs the verb approve")
	namespace.Labels = nil
	_, err = l.Typed(l.Tenant).CoreV1().Namespaces().Create(t.Context(), namespace, dryRun)
	l.Passes(err)
}

func TestApproverOfTheNamespaceSetsAndEndsRecovery(t *testing.T) {
	l := newLab(t)
	l.guard()
	const approver = "approver"
	l.Allow(approver, "", "namespaces", "get", "patch")
	l.Allow(approver, "labguard.dev", "labworkloads", "approve")
	set := func(value string) error { return l.setRecovery(t.Context(), approver, l.Namespace, value) }
	l.Passes(set(until))
	l.Passes(set(longer))
	for _, value := range []string{`""`, `"soon"`, `"189500000"`, `"18950000000"`, `"189500000x"`} {
		l.forbidden(set(value), "10 digits")
	}
	l.forbidden(set("null"), "only labguard removes")
	l.Passes(set(over))
}

func TestServiceAccountSetsNoRecoveryWhateverItsRights(t *testing.T) {
	l := newLab(t)
	l.guard()
	for _, user := range []string{"system:serviceaccount:flux-system:kustomize-controller", "system:serviceaccount:" + l.Namespace + ":default"} {
		l.Bind("cluster-admin", user)
		l.forbidden(l.setRecovery(t.Context(), user, l.Namespace, until), "a ServiceAccount cannot")
	}
	l.Must(l.setRecovery(t.Context(), "", l.Namespace, until))
	l.forbidden(l.setRecovery(t.Context(), "system:serviceaccount:flux-system:kustomize-controller", l.Namespace, "null"), "only labguard removes")
}

func TestLabguardAloneRemovesTheRecoveryLabel(t *testing.T) {
	l := newLab(t)
	l.guard()
	l.Allow(tenancy.Labguard, "", "namespaces", "get", "patch")
	l.Must(l.setRecovery(t.Context(), "", l.Namespace, until))
	l.forbidden(l.setRecovery(t.Context(), "", l.Namespace, "null"), "only labguard removes")
	l.Passes(l.setRecovery(t.Context(), tenancy.Labguard, l.Namespace, over))
	l.Passes(l.setRecovery(t.Context(), tenancy.Labguard, l.Namespace, "null"))
}

func TestNamespaceInRecoveryNeedsNoLabguard(t *testing.T) {
	l := newLab(t)
	l.Must(l.create(l.Tenant, deployments, deployments.object("app", imageOne)))
	l.kill()
	l.Must(l.setRecovery(t.Context(), "", l.Namespace, until))
	l.Eventually("the gate opens", func(ctx context.Context) (bool, error) { return l.probe(ctx) == nil, nil })
	l.Passes(l.patch(l.Tenant, deployments, "app", deployments.withImage(imageTwo)))
	l.Passes(l.kubectl("rollout", "undo", "deployment/app"))
	l.Passes(l.create(l.Tenant, pods, pods.object("bare", imageThree)))
	l.Must(l.setRecovery(t.Context(), "", l.Namespace, "null"))
	l.Eventually("the gate closes again", func(ctx context.Context) (bool, error) { return l.probe(ctx) != nil, nil })
	l.asked(l.patch(l.Tenant, deployments, "app", deployments.withImage(imageThree)))
}
