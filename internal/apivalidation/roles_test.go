// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"context"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// What the kinds about people let the built-in roles do. The platform team binds the others.
func TestRolesForWhatIsAboutPeople(t *testing.T) {
	if printed, err := cluster.Kubectl(t, "apply", "-f", "../../config/rbac/user_roles.yaml"); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	c, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	reading, writing := []string{"get", "list", "watch"}, []string{"create", "update", "patch", "delete", v1alpha1.AcknowledgeVerb}
	for role, test := range map[string]struct{ may, mayNot map[string][]string }{
		"view": {
			may:    map[string][]string{"breakglassuses": reading, "identityproviders": reading},
			mayNot: map[string][]string{"breakglassuses": writing, "identityproviders": writing, "trainingrecords": append(writing, reading...)},
		},
		"admin": {
			may:    map[string][]string{"breakglassuses": reading, "labworkloads": {"patch"}},
			mayNot: map[string][]string{"breakglassuses": writing, "identityproviders": writing, "trainingrecords": append(writing, reading...)},
		},
		"labguard-acknowledger": {
			may: map[string][]string{"breakglassuses": {"get", "list", "patch", v1alpha1.AcknowledgeVerb}},
			mayNot: map[string][]string{
				"breakglassuses": {"create", "update", "delete"}, "identityproviders": writing, "trainingrecords": reading, "labworkloads": writing,
			},
		},
	} {
		t.Run(role, func(t *testing.T) {
			user := "people-" + role
			if printed, err := cluster.Kubectl(t, "create", "clusterrolebinding", user, "--clusterrole="+role, "--user="+user); err != nil {
				t.Fatalf("%v\n%s", err, printed)
			}
			t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "clusterrolebinding", user) })
			for resource, verbs := range test.may {
				for _, verb := range verbs {
					// The controller that aggregates roles takes its time.
					err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
						return may(t, c, user, verb, resource), nil
					})
					if err != nil {
						t.Errorf("%s may not %s %s", role, verb, resource)
					}
				}
			}
			for resource, verbs := range test.mayNot {
				for _, verb := range verbs {
					if may(t, c, user, verb, resource) {
						t.Errorf("%s may %s %s", role, verb, resource)
					}
				}
			}
		})
	}
}

func may(t *testing.T, c kubernetes.Interface, user, verb, resource string) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{Group: v1alpha1.GroupVersion.Group, Verb: verb, Resource: resource, Namespace: metav1.NamespaceDefault},
	}}
	answer, err := c.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}
