// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/posture/rights"
)

const auth = "authentication.k8s.io"

var (
	anna = rbacv1.Subject{Kind: "User", Name: "anna"}
	bot  = rbacv1.Subject{Kind: "ServiceAccount", Namespace: "tools", Name: "bot"}
	argo = rbacv1.Subject{Kind: "ServiceAccount", Namespace: "gitops", Name: "argo"}
)

// rule is verbs on resources of a group, each a list with commas, and the names that restrict it.
func rule(verbs, group, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ","), ResourceNames: names}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func everywhere(role string, subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "bind-" + role}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role},
	}
}

func inside(namespace, kind, role string, subjects ...rbacv1.Subject) rbacv1.RoleBinding {
	return rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "bind-" + role}, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{Kind: kind, Name: role},
	}
}

// world has one governed namespace, a machine in a namespace of its own and a machine that is a user.
func world() rights.Input {
	return rights.Input{
		Governed: []string{"pathology"},
		Machines: []rights.Machine{{Namespace: "gitops", Name: "argo"}, {User: "ci-robot"}},
	}
}

// clusterWide gives the subject rules by a ClusterRoleBinding.
func clusterWide(subject rbacv1.Subject, rules ...rbacv1.PolicyRule) rights.Input {
	in := world()
	in.ClusterRoles = []rbacv1.ClusterRole{clusterRole("r", rules...)}
	in.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{everywhere("r", subject)}
	return in
}

// in gives anna rules by a RoleBinding to a ClusterRole.
func in(namespace string, rules ...rbacv1.PolicyRule) rights.Input {
	in := world()
	in.ClusterRoles = []rbacv1.ClusterRole{clusterRole("r", rules...)}
	in.RoleBindings = []rbacv1.RoleBinding{inside(namespace, "ClusterRole", "r", anna)}
	return in
}

func with(input rights.Input, change func(*rights.Input)) rights.Input {
	change(&input)
	return input
}

func lines(report rights.Report) string {
	found := make([]string, 0, len(report.Findings))
	for _, finding := range report.Findings {
		found = append(found, string(finding.Reason)+": "+finding.String())
	}
	return strings.Join(found, "\n")
}

func TestFind(t *testing.T) {
	for _, test := range cases() {
		t.Run(test.name, func(t *testing.T) {
			if got := lines(rights.Find(test.in)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
