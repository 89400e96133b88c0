// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights_test

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/labguard/labguard/internal/posture/rights"
)

// everybodyCases are of holders that are everybody: that they are administrators is no matter of a few people whom somebody has chosen.
func everybodyCases() []testCase {
	star := rule("*", "*", "*")
	line := func(reason, who, right string, more int) string {
		text := reason + ": " + who + " may " + right + " in every namespace through ClusterRoleBinding bind-r"
		if more > 0 {
			text += fmt.Sprintf(", and has %d more such rights", more)
		}
		return text
	}
	all := func(who string) string {
		return strings.Join([]string{
			line("ClusterAdmin", who, "* *", 0), line("ClaimsForgeable", who, "impersonate userextras/labguard.dev/issuer", 9),
			line("MachineIdentityClaimable", who, "impersonate serviceaccounts", 33), line("NodesProxy", who, "get nodes/proxy", 0),
			line("RolesEscalatable", who, "escalate clusterroles", 2), line("SecretsReadable", who, "get secrets", 0),
		}, "\n")
	}
	group := func(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: name} }
	tests := []testCase{
		{"who is not logged in and is administrator goes around the gate", clusterWide(rbacv1.Subject{Kind: "User", Name: "system:anonymous"}, star),
			all(`User "system:anonymous"`)},
		{"a named group of administrators is said once", clusterWide(group("sre"), star), line("ClusterAdmin", `Group "sre"`, "* *", 0)},
		{"a group of a distribution too", clusterWide(group("system:cluster-admins"), star), line("ClusterAdmin", `Group "system:cluster-admins"`, "* *", 0)},
		{"one account is said once", clusterWide(bot, star), line("ClusterAdmin", `ServiceAccount "tools/bot"`, "* *", 0)},
		{"everybody beside an administrator changes nothing for that one", with(clusterWide(anna, star), func(in *rights.Input) {
			in.ClusterRoleBindings[0].Subjects = []rbacv1.Subject{group("system:authenticated"), anna}
		}), strings.Replace(all(`Group "system:authenticated"`), "\n", "\n"+line("ClusterAdmin", `User "anna"`, "* *", 0)+"\n", 1)},
		{"the accounts of kube-system are not asked anyway, but have no business at the kubelet",
			with(clusterWide(group("system:serviceaccounts:kube-system"), star), func(in *rights.Input) { in.Governed = nil }),
			line("ClusterAdmin", `Group "system:serviceaccounts:kube-system"`, "* *", 0) + "\n" +
				line("NodesProxy", `Group "system:serviceaccounts:kube-system"`, "get nodes/proxy", 0) + "\n" +
				line("RolesEscalatable", `Group "system:serviceaccounts:kube-system"`, "escalate clusterroles", 2)},
		{"a second binding is found beside", with(clusterWide(group("system:authenticated"), star), func(in *rights.Input) {
			in.ClusterRoles = append(in.ClusterRoles, clusterRole("s", rule("get", "", "nodes/proxy")))
			in.ClusterRoleBindings = append(in.ClusterRoleBindings, everywhere("s", group("system:authenticated")), everywhere("r", group("system:authenticated")))
		}), strings.Replace(all(`Group "system:authenticated"`), "\nRoles", "\n"+strings.Replace(
			line("NodesProxy", `Group "system:authenticated"`, "get nodes/proxy", 0), "bind-r", "bind-s", 1)+"\nRoles", 1)},
		{"a machine that is administrator and lives where people have rights can be claimed", with(clusterWide(argo, star), func(in *rights.Input) {
			in.Governed = []string{"gitops"}
		}), line("ClusterAdmin", `ServiceAccount "gitops/argo"`, "* *", 0) + "\n" +
			`MachineIdentityClaimable: ServiceAccount "gitops/argo" is a listed machine in namespace gitops, which a LabWorkload governs`},
	}
	for _, name := range []string{
		"system:authenticated", "system:authenticated:oauth", "system:unauthenticated", "system:serviceaccounts", "system:serviceaccounts:tools",
	} {
		tests = append(tests, testCase{name + " as administrator goes around the gate, whoever trusts it", with(clusterWide(group(name), star), func(in *rights.Input) {
			in.Trusted = []rights.Subject{{Kind: "Group", Name: name}}
		}), all(`Group "` + name + `"`)})
	}
	return tests
}
