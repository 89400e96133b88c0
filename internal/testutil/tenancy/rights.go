// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tenancy

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Bind gives a user a ClusterRole that may edit the namespace. A ServiceAccount is given by its user name too.
func (s Space) Bind(role, user string) {
	s.Helper()
	s.bind(metav1.ObjectMeta{GenerateName: role + "-"}, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, user)
	s.Await(user, "apps", "deployments", "create")
}

// Allow gives a user verbs on a resource, or on a subresource such as pods/resize, in the namespace.
func (s Space) Allow(user, group, resource string, verbs ...string) {
	s.Helper()
	meta := metav1.ObjectMeta{GenerateName: "allow-"}
	role, err := s.Typed("").RbacV1().Roles(s.Namespace).Create(s.Context(), &rbacv1.Role{
		ObjectMeta: meta,
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}},
	}, metav1.CreateOptions{})
	s.Must(err)
	s.bind(meta, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}, user)
	for _, verb := range verbs {
		s.Await(user, group, resource, verb)
	}
}

func (s Space) bind(meta metav1.ObjectMeta, role rbacv1.RoleRef, user string) {
	s.Helper()
	_, err := s.Typed("").RbacV1().RoleBindings(s.Namespace).Create(s.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: role, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	s.Must(err)
}

// Await returns when the API server has taken notice of a right.
func (s Space) Await(user, group, resource, verb string) {
	s.Helper()
	main, subresource, _ := strings.Cut(resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: s.Namespace, Group: group, Resource: main, Subresource: subresource, Verb: verb,
		},
	}}
	reviews := s.Typed("").AuthorizationV1().SubjectAccessReviews()
	s.Eventually(user+" gets the right", func(ctx context.Context) (bool, error) {
		answer, err := reviews.Create(ctx, review, metav1.CreateOptions{})
		return err == nil && answer.Status.Allowed, err
	})
}
