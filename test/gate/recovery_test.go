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
)

// setRecovery sets the label to a JSON value; null removes it.
func (l lab) setRecovery(ctx context.Context, user, namespace, value string, dryRun ...string) error {
	l.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"labguard.dev/recovery-until":%s}}}`, value)
	_, err := l.typed(user).CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun})
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
	l.allow(l.tenant, "", "namespaces", "get", "patch", "update")
	set := func(value string) error { return l.setRecovery(t.Context(), l.tenant, l.namespace, value) }
	l.forbidden(set(until), "needs the verb approve")
	l.forbidden(set(`""`), "needs the verb approve") // a selector sees an empty label too
	l.must(l.setRecovery(t.Context(), "", l.namespace, until))
	l.forbidden(set(longer), "needs the verb approve")
	l.forbidden(set(over), "needs the verb approve")
	l.forbidden(set("null"), "only labguard removes")
	t.Run("other labels pass", func(t *testing.T) {
		l := l.in(t)
		_, err := l.typed(l.tenant).CoreV1().Namespaces().Patch(t.Context(), l.namespace, types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"team":"lis"}}}`), metav1.PatchOptions{})
		l.passes(err)
	})
	t.Run("by its status", func(t *testing.T) {
		l := l.in(t)
		l.allow(l.tenant, "", "namespaces/status", "patch")
		_, err := l.typed(l.tenant).CoreV1().Namespaces().Patch(t.Context(), l.namespace, types.MergePatchType,
			[]byte(`{"metadata":{"labels":{"labguard.dev/recovery-until":"1896000000"}}}`), metav1.PatchOptions{}, "status")
		l.forbidden(err, "needs the verb approve")
	})
}

func TestNamespaceIsNotBornInRecovery(t *testing.T) {
	l := newLab(t)
	born := l.namespace + "-born"
	l.guard(born)
	role, err := l.typed("").RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: born},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"create"}}},
	}, metav1.CreateOptions{})
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return l.typed("").RbacV1().ClusterRoles().Delete(ctx, born, metav1.DeleteOptions{})
	})
	_, err = l.typed("").RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: born},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: l.tenant}},
	}, metav1.CreateOptions{})
	l.must(err)
	l.afterwards(func(ctx context.Context) error {
		return l.typed("").RbacV1().ClusterRoleBindings().Delete(ctx, born, metav1.DeleteOptions{})
	})
	everywhere := lab{T: t}
	everywhere.awaitRight(l.tenant, "", "namespaces", "", "create")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: born, Labels: map[string]string{"labguard.dev/recovery-until": "1895000000"}}}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	_, err = l.typed(l.tenant).CoreV1().Namespaces().Create(t.Context(), namespace, dryRun)
	l.forbidden(err, "needs the verb approve")
	namespace.Labels = nil
	_, err = l.typed(l.tenant).CoreV1().Namespaces().Create(t.Context(), namespace, dryRun)
	l.passes(err)
}

func TestApproverOfTheNamespaceSetsAndEndsRecovery(t *testing.T) {
	l := newLab(t)
	l.guard()
	const approver = "approver"
	l.allow(approver, "", "namespaces", "get", "patch")
	l.allow(approver, "labguard.dev", "labworkloads", "approve")
	set := func(value string) error { return l.setRecovery(t.Context(), approver, l.namespace, value) }
	l.passes(set(until))
	l.passes(set(longer))
	for _, value := range []string{`""`, `"soon"`, `"189500000"`, `"18950000000"`, `"189500000x"`} {
		l.forbidden(set(value), "10 digits")
	}
	l.forbidden(set("null"), "only labguard removes")
	l.passes(set(over))
}

func TestServiceAccountSetsNoRecoveryWhateverItsRights(t *testing.T) {
	l := newLab(t)
	l.guard()
	for _, user := range []string{"system:serviceaccount:flux-system:kustomize-controller", "system:serviceaccount:" + l.namespace + ":default"} {
		l.bind("cluster-admin", user)
		l.forbidden(l.setRecovery(t.Context(), user, l.namespace, until), "a ServiceAccount cannot")
	}
	l.must(l.setRecovery(t.Context(), "", l.namespace, until))
	l.forbidden(l.setRecovery(t.Context(), "system:serviceaccount:flux-system:kustomize-controller", l.namespace, "null"), "only labguard removes")
}

func TestLabguardAloneRemovesTheRecoveryLabel(t *testing.T) {
	l := newLab(t)
	l.guard()
	l.allow(labguardUser, "", "namespaces", "get", "patch")
	l.must(l.setRecovery(t.Context(), "", l.namespace, until))
	l.forbidden(l.setRecovery(t.Context(), "", l.namespace, "null"), "only labguard removes")
	l.passes(l.setRecovery(t.Context(), labguardUser, l.namespace, over))
	l.passes(l.setRecovery(t.Context(), labguardUser, l.namespace, "null"))
}

func TestNamespaceInRecoveryNeedsNoLabguard(t *testing.T) {
	l := newLab(t)
	l.must(l.create(l.tenant, deployments, deployments.object("app", imageOne)))
	l.kill()
	l.must(l.setRecovery(t.Context(), "", l.namespace, until))
	l.eventually("the gate opens", func(ctx context.Context) (bool, error) { return l.probe(ctx) == nil, nil })
	l.passes(l.patch(l.tenant, deployments, "app", deployments.withImage(imageTwo)))
	l.passes(l.kubectl("rollout", "undo", "deployment/app"))
	l.passes(l.create(l.tenant, pods, pods.object("bare", imageThree)))
	l.must(l.setRecovery(t.Context(), "", l.namespace, "null"))
	l.eventually("the gate closes again", func(ctx context.Context) (bool, error) { return l.probe(ctx) != nil, nil })
	l.asked(l.patch(l.tenant, deployments, "app", deployments.withImage(imageThree)))
}
