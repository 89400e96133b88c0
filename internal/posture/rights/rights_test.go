// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/posture/rights"
)

type testCase struct {
	name string
	in   rights.Input
	want string
}

func cases() []testCase {
	return slices.Concat(claimCases(), machineCases(), nodeCases(), roleCases(), otherCases(), holderCases(), everybodyCases())
}

func claimCases() []testCase {
	const amr = "userextras/labguard.dev/amr"
	through := func(right string) string {
		return `ClaimsForgeable: User "anna" may ` + right + ` in every namespace through ClusterRoleBinding bind-r`
	}
	return []testCase{
		{"who may impersonate the extra of the login methods forges claims", clusterWide(anna, rule("impersonate", auth, amr)), through("impersonate " + amr)},
		{"a restriction to some values of the extra still forges", clusterWide(anna, rule("impersonate", auth, amr, "mfa")), through("impersonate " + amr)},
		{"the constrained verb forges as well", clusterWide(anna, rule("impersonate:user-info", auth, amr)), through("impersonate:user-info " + amr)},
		{"the verb on requests gives nothing without the verb on identities", clusterWide(anna, rule("impersonate-on:user-info:create", "", "pods/exec")), ""},
		{"an extra that carries no claim is nothing", clusterWide(anna, rule("impersonate", auth, "userextras/scopes")), ""},
		{"a star after the slash is no wildcard of RBAC", clusterWide(anna, rule("impersonate", auth, "userextras/*")), ""},
		{"with the constrained verb the star is asked for by its name", clusterWide(anna, rule("impersonate:user-info", auth, "userextras/*")),
			through("impersonate:user-info userextras/*")},
		{"a star before the slash is a wildcard", clusterWide(anna, rule("impersonate", auth, "*/labguard.dev/acr")),
			through("impersonate userextras/labguard.dev/acr")},
		{"the extras are of another group than users", clusterWide(anna, rule("impersonate", "", amr)), ""},
		{"keys that a provider names are looked for instead",
			with(clusterWide(anna, rule("impersonate", auth, "userextras/idp.example/amr")), func(in *rights.Input) { in.ClaimKeys = []string{"idp.example/amr"} }),
			through("impersonate userextras/idp.example/amr")},
		{"a RoleBinding to extras grants nothing, as they have no namespace", in("pathology", rule("impersonate", auth, amr)), ""},
		{"who may impersonate the group for break glass is never asked", clusterWide(anna, rule("impersonate", "", "groups", "labguard:break-glass")),
			through("impersonate groups")},
		{"another group is nothing", clusterWide(anna, rule("impersonate", "", "groups", "readers")), ""},
		{"who may approve certificates of clients may give itself that group",
			clusterWide(anna, rule("approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client")), through("approve signers")},
		{"the approver of kubelet certificates may not", clusterWide(anna, rule("approve", "certificates.k8s.io", "signers", "kubernetes.io/kubelet-serving")), ""},
	}
}

func machineCases() []testCase {
	through := func(right, where, kind string) string {
		return `MachineIdentityClaimable: User "anna" may ` + right + ` in ` + where + ` through ` + kind + ` bind-r`
	}
	here := func(right string) string { return through(right, "namespace gitops", "RoleBinding") }
	all := func(right string) string { return through(right, "every namespace", "ClusterRoleBinding") }
	return []testCase{
		{"who may impersonate a listed account becomes it", in("gitops", rule("impersonate", "", "serviceaccounts")), here("impersonate serviceaccounts")},
		{"by name too", in("gitops", rule("impersonate", "", "serviceaccounts", "argo")), here("impersonate serviceaccounts")},
		{"another account of the namespace is not listed", in("gitops", rule("impersonate", "", "serviceaccounts", "other")), ""},
		{"the constrained verb is of another group", in("gitops", rule("impersonate:serviceaccount", auth, "serviceaccounts")),
			here("impersonate:serviceaccount serviceaccounts")},
		{"who may ask for its token becomes it", in("gitops", rule("create", "", "serviceaccounts/token", "argo")), here("create serviceaccounts/token")},
		{"who may run pods in its namespace becomes it", in("gitops", rule("create", "", "pods")), here("create pods")},
		{"who may put another image into a pod becomes it", in("gitops", rule("patch", "", "pods")), here("patch pods")},
		{"of one pod too", in("gitops", rule("update", "", "pods", "argo-0")), here("update pods")},
		{"the status of pods runs nothing", in("gitops", rule("patch", "", "pods/status")), ""},
		{"creation by name grants nothing", in("gitops", rule("create", "", "pods", "one")), ""},
		{"change of a workload by name becomes it", in("gitops", rule("patch", "apps", "deployments", "one")), here("patch deployments")},
		{"who may read Secrets there may read a token", in("gitops", rule("list", "", "secrets")), here("list secrets")},
		{"who may open a shell there may read a token", in("gitops", rule("get", "", "pods/exec")), here("get pods/exec")},
		{"the accounts of kube-system are never asked either", in("kube-system", rule("create", "", "pods")),
			through("create pods", "namespace kube-system", "RoleBinding")},
		{"any of them by name", in("kube-system", rule("impersonate", "", "serviceaccounts", "other")),
			through("impersonate serviceaccounts", "namespace kube-system", "RoleBinding")},
		{"pods of other namespaces run as nobody who is listed", in("pathology", rule("create", "", "pods")), ""},
		{"a grant for every namespace holds in the machine's", clusterWide(anna, rule("create", "", "pods")), all("create pods")},
		{"who may impersonate any user may be the listed one", clusterWide(anna, rule("impersonate", "", "users")), all("impersonate users")},
		{"the listed user by name", clusterWide(anna, rule("impersonate", "", "users", "ci-robot")), all("impersonate users")},
		{"a user of the control plane by name", clusterWide(anna, rule("impersonate", "", "users", "system:node:one")), all("impersonate users")},
		{"an ordinary user has to log in and is not", clusterWide(anna, rule("impersonate", "", "users", "bert")), ""},
		{"a node may ask for tokens of its pods' accounts", clusterWide(anna, rule("impersonate:arbitrary-node", auth, "nodes", "one")),
			all("impersonate:arbitrary-node nodes")},
		{"the own node is asked for by a star", clusterWide(anna, rule("impersonate:associated-node", auth, "nodes", "one")), ""},
		{"a listed machine in a governed namespace is where its people have rights",
			with(world(), func(in *rights.Input) { in.Machines = []rights.Machine{{Namespace: "pathology", Name: "ci"}} }),
			`MachineIdentityClaimable: ServiceAccount "pathology/ci" is a listed machine in namespace pathology, which a LabWorkload governs`},
	}
}

func nodeCases() []testCase {
	const csr, approved, nodeclient = "certificates.k8s.io", "kubernetes.io/kube-apiserver-client-kubelet", "certificatesigningrequests/nodeclient"
	through := func(who, right, role string) string {
		return `MachineIdentityClaimable: ` + who + ` may ` + right + ` in every namespace through ClusterRoleBinding bind-` + role
	}
	own := func(group, role, resource string) rights.Input {
		return with(world(), func(in *rights.Input) {
			in.ClusterRoles = []rbacv1.ClusterRole{clusterRole(role, rule("create", csr, resource))}
			in.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{everywhere(role, rbacv1.Subject{Kind: "Group", Name: group})}
		})
	}
	const autoApproved = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
	return []testCase{
		{"who may approve certificates of nodes becomes one", clusterWide(anna, rule("approve", csr, "signers", approved)),
			through(`User "anna"`, "approve signers", "r")},
		{"who may approve those of every signer of Kubernetes becomes a node and anybody",
			clusterWide(anna, rule("approve", csr, "signers", "kubernetes.io/*")),
			`ClaimsForgeable: User "anna" may approve signers in every namespace through ClusterRoleBinding bind-r` + "\n" +
				through(`User "anna"`, "approve signers", "r")},
		{"the approver of another signer does not", clusterWide(anna, rule("approve", csr, "signers", "example.org/signer")), ""},
		{"who has its certificate of a node approved by the control plane becomes one", clusterWide(anna, rule("create", csr, nodeclient)),
			through(`User "anna"`, "create "+nodeclient, "r")},
		{"a name is not asked for there", clusterWide(anna, rule("create", csr, nodeclient, "one")), ""},
		{"a node that renews its own certificate is what it was", clusterWide(anna, rule("create", csr, "certificatesigningrequests/selfnodeclient")), ""},
		{"to ask for a certificate is not to get it", clusterWide(anna, rule("create", csr, "certificatesigningrequests")), ""},
		{"nodes that join by a bootstrap token do, and have to",
			own("system:bootstrappers:kubeadm:default-node-token", autoApproved, nodeclient), ""},
		{"nodes that renew their certificates do not become others",
			own("system:nodes", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "certificatesigningrequests/selfnodeclient"), ""},
		{"everybody who does is a finding", own("system:authenticated", autoApproved, nodeclient),
			through(`Group "system:authenticated"`, "create "+nodeclient, autoApproved)},
	}
}

func roleCases() []testCase {
	const rbac = rbacv1.GroupName
	escalates := func(right, where, kind string) string {
		return `RolesEscalatable: User "anna" may ` + right + ` in ` + where + ` through ` + kind + ` bind-r`
	}
	claims := func(right, where, kind string) string {
		return `MachineIdentityClaimable: User "anna" may ` + right + ` in ` + where + ` through ` + kind + " bind-r\n" + escalates(right, where, kind)
	}
	here := func(right string) string { return claims(right, "namespace gitops", "RoleBinding") }
	all := func(right string) string { return claims(right, "every namespace", "ClusterRoleBinding") }
	bind, write := rule("bind", rbac, "clusterroles"), rule("create", rbac, "rolebindings")
	// beside gives anna, or somebody else, another rule by a binding of its own.
	beside := func(in rights.Input, other rbacv1.PolicyRule, namespace string, who rbacv1.Subject) rights.Input {
		in.ClusterRoles = append(in.ClusterRoles, clusterRole("s", other))
		if namespace == "" {
			in.ClusterRoleBindings = append(in.ClusterRoleBindings, everywhere("s", who))
			return in
		}
		in.RoleBindings = append(in.RoleBindings, inside(namespace, "ClusterRole", "s", who))
		return in
	}
	return []testCase{
		{"who may bind any role where a machine is becomes it", in("gitops", bind, write), here("bind clusterroles")},
		{"the two rights may be of two bindings", beside(in("gitops", bind), write, "gitops", anna), here("bind clusterroles")},
		{"one of them may be for every namespace", beside(clusterWide(anna, bind), write, "gitops", anna), all("bind clusterroles")},
		{"or the other one", beside(in("gitops", bind), write, "", anna), here("bind clusterroles")},
		{"what everybody may counts", beside(in("gitops", bind), write, "gitops", rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}), here("bind clusterroles")},
		{"and what everybody may who has logged in by OAuth",
			beside(in("gitops", bind), write, "gitops", rbacv1.Subject{Kind: "Group", Name: "system:authenticated:oauth"}), here("bind clusterroles")},
		{"another's right does not", beside(in("gitops", bind), write, "gitops", bot), escalates("bind clusterroles", "namespace gitops", "RoleBinding")},
		{"nor one of a namespace without machines", beside(clusterWide(anna, bind), write, "pathology", anna),
			escalates("bind clusterroles", "every namespace", "ClusterRoleBinding")},
		{"without any to write, roles can be escalated by nobody", in("gitops", bind), escalates("bind clusterroles", "namespace gitops", "RoleBinding")},
		{"to put oneself into a binding is enough", in("gitops", bind, rule("patch", rbac, "rolebindings", "one")), here("bind clusterroles")},
		{"who may bind a role for the whole cluster reaches every machine", clusterWide(anna, bind, rule("create", rbac, "clusterrolebindings")), all("bind clusterroles")},
		{"a role that runs nothing may be bound", with(in("gitops", rule("bind", rbac, "clusterroles", "viewer"), write), func(in *rights.Input) {
			in.ClusterRoles = append(in.ClusterRoles, clusterRole("viewer", rule("get", "", "pods")))
		}), escalates("bind clusterroles", "namespace gitops", "RoleBinding")},
		{"a role that runs pods may not", with(in("gitops", rule("bind", rbac, "clusterroles", "editor"), write), func(in *rights.Input) {
			in.ClusterRoles = append(in.ClusterRoles, clusterRole("editor", rule("create", "", "pods")))
		}), here("bind clusterroles")},
		{"who may write any role where a machine is becomes it", in("gitops", rule("escalate,update", rbac, "roles")), here("escalate roles")},
		{"who may write any ClusterRole reaches every machine", clusterWide(anna, rule("escalate,patch", rbac, "clusterroles")), all("escalate clusterroles")},
		{"in a namespace without machines nobody becomes one", in("pathology", bind, write, rule("escalate,update", rbac, "roles")),
			escalates("bind clusterroles", "namespace pathology", "RoleBinding") + ", and has 1 more such rights"},
		{"whoever may only write bindings grants what it has", in("gitops", write, rule("create,update", rbac, "roles")), ""},
	}
}

func otherCases() []testCase {
	through := func(reason, right, where, kind string) string {
		return reason + `: User "anna" may ` + right + ` in ` + where + ` through ` + kind + ` bind-r`
	}
	return []testCase{
		{"reading nodes/proxy is enough to run a command", clusterWide(anna, rule("get", "", "nodes/proxy")),
			through("NodesProxy", "get nodes/proxy", "every namespace", "ClusterRoleBinding")},
		{"nodes alone do not include the proxy", clusterWide(anna, rule("get", "", "nodes,nodes/metrics")), ""},
		{"every proxy includes that of nodes", clusterWide(anna, rule("get", "", "*/proxy")),
			through("NodesProxy", "get nodes/proxy", "every namespace", "ClusterRoleBinding")},
		{"who may escalate roles may write itself any right", in("pathology", rule("escalate", rbacv1.GroupName, "roles")),
			through("RolesEscalatable", "escalate roles", "namespace pathology", "RoleBinding")},
		{"who may bind cluster roles in a governed namespace may bind admin", in("pathology", rule("bind", rbacv1.GroupName, "clusterroles", "admin")),
			through("RolesEscalatable", "bind clusterroles", "namespace pathology", "RoleBinding")},
		{"elsewhere that is nobody's matter", in("other", rule("bind", rbacv1.GroupName, "clusterroles")), ""},
		{"readers of Secrets in a governed namespace", in("pathology", rule("get", "", "secrets", "db")),
			through("SecretsReadable", "get secrets", "namespace pathology", "RoleBinding")},
		{"readers of Secrets elsewhere are not", in("other", rule("get", "", "secrets")), ""},
		{"a wildcard in one namespace is no administrator of the cluster",
			with(in("pathology", rule("*", "*", "*")), func(in *rights.Input) { in.Machines = nil }),
			through("RolesEscalatable", "bind clusterroles", "namespace pathology", "RoleBinding") + ", and has 1 more such rights\n" +
				through("SecretsReadable", "get secrets", "namespace pathology", "RoleBinding")},
		{"an administrator of the cluster is said once", with(clusterWide(anna, rule("*", "*", "*")), func(in *rights.Input) {
			in.ClusterRoles = append(in.ClusterRoles, clusterRole("s", rule("get", "", "nodes/proxy")))
			in.ClusterRoleBindings = append(in.ClusterRoleBindings, everywhere("s", anna))
		}), through("ClusterAdmin", "* *", "every namespace", "ClusterRoleBinding")},
		{"a role that does not exist grants nothing", with(world(), func(in *rights.Input) {
			in.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{everywhere("gone", anna)}
		}), ""},
		{"a role that was labelled for aggregation counts before its rules are copied", aggregated(),
			through("NodesProxy", "get nodes/proxy", "every namespace", "ClusterRoleBinding")},
		{"a Role of the namespace is found", with(world(), func(in *rights.Input) {
			in.Roles = []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "r"}, Rules: []rbacv1.PolicyRule{rule("watch", "", "secrets")}}}
			in.RoleBindings = []rbacv1.RoleBinding{inside("pathology", "Role", "r", anna), inside("other", "Role", "r", bot)}
		}), through("SecretsReadable", "watch secrets", "namespace pathology", "RoleBinding")},
	}
}

func aggregated() rights.Input {
	in := clusterWide(anna, rule("get", "", "pods"))
	in.ClusterRoles[0].AggregationRule = &rbacv1.AggregationRule{
		ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"to": "r"}}},
	}
	part := clusterRole("part", rule("get", "", "nodes/proxy"))
	part.Labels = map[string]string{"to": "r"}
	in.ClusterRoles = append(in.ClusterRoles, part)
	return in
}

func holderCases() []testCase {
	proxy := rule("get", "", "nodes/proxy")
	found := func(subject string) string {
		return "NodesProxy: " + subject + " may get nodes/proxy in every namespace through ClusterRoleBinding bind-r"
	}
	everyone := rbacv1.Subject{Kind: "Group", Name: "system:authenticated"}
	addon := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "kube-system", Name: "addon"}
	return []testCase{
		{"the group of masters is no finding", clusterWide(rbacv1.Subject{Kind: "Group", Name: "system:masters"}, rule("*", "*", "*")), ""},
		{"nor are nodes", clusterWide(rbacv1.Subject{Kind: "Group", Name: "system:nodes"}, proxy), ""},
		{"another group whose name begins so is one, as a distribution puts people into it",
			clusterWide(rbacv1.Subject{Kind: "Group", Name: "system:cluster-readers"}, proxy), found(`Group "system:cluster-readers"`)},
		{"so is one whose name begins like that of nodes", clusterWide(rbacv1.Subject{Kind: "Group", Name: "system:nodes:all"}, proxy), found(`Group "system:nodes:all"`)},
		{"a user of the control plane is no finding", clusterWide(rbacv1.Subject{Kind: "User", Name: "system:kube-scheduler"}, proxy), ""},
		{"everybody who is logged in is one", clusterWide(everyone, proxy), found(`Group "system:authenticated"`)},
		{"the accounts of a namespace are one", clusterWide(rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:tools"}, proxy),
			found(`Group "system:serviceaccounts:tools"`)},
		{"a controller of Kubernetes through its own role is none", with(world(), func(in *rights.Input) {
			in.ClusterRoles = []rbacv1.ClusterRole{clusterRole("system:controller:x", proxy)}
			in.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{everywhere("system:controller:x", addon)}
		}), ""},
		{"an addon in kube-system that reaches kubelets is one", clusterWide(addon, proxy), found(`ServiceAccount "kube-system/addon"`)},
		{"a listed machine gains nothing by becoming another", clusterWide(argo, rule("create", "", "pods")), ""},
		{"a listed machine still has no business at the kubelet", clusterWide(argo, proxy), found(`ServiceAccount "gitops/argo"`)},
		{"an account is the same by its user name", clusterWide(rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:tools:bot"}, proxy),
			found(`ServiceAccount "tools/bot"`)},
		{"who is trusted is no finding", with(clusterWide(bot, proxy), func(in *rights.Input) {
			in.Trusted = []rights.Subject{{Kind: "User", Name: "system:serviceaccount:tools:bot"}}
		}), ""},
		{"labguard's own account is accepted, and whoever may become it is not", with(in("labguard-system", rule("create", "", "serviceaccounts/token", "labguard")), func(in *rights.Input) {
			in.Own = "system:serviceaccount:labguard-system:labguard"
			in.ClusterRoles = append(in.ClusterRoles, clusterRole("s", proxy))
			in.ClusterRoleBindings = []rbacv1.ClusterRoleBinding{everywhere("s", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "labguard-system", Name: "labguard"})}
		}), `MachineIdentityClaimable: User "anna" may create serviceaccounts/token in namespace labguard-system through RoleBinding bind-r`},
		{"nobody can trust everybody", with(clusterWide(everyone, proxy), func(in *rights.Input) {
			in.Trusted = []rights.Subject{{Kind: "Group", Name: "system:authenticated"}}
		}), found(`Group "system:authenticated"`)},
		{"an account without a namespace is of the binding's, and of none cluster-wide",
			clusterWide(rbacv1.Subject{Kind: "ServiceAccount", Name: "bot"}, proxy), ""},
		{"a name cannot break the line", clusterWide(rbacv1.Subject{Kind: "User", Name: "a\nb"}, proxy), found(`User "a\nb"`)},
	}
}

func TestABoundLeavesTheCountOfTheRest(t *testing.T) {
	in := world()
	in.Limit = 2
	in.ClusterRoles = []rbacv1.ClusterRole{clusterRole("p", rule("get", "", "nodes/proxy")), clusterRole("s", rule("get", "", "secrets"))}
	for i := range 5 {
		subject := rbacv1.Subject{Kind: "User", Name: fmt.Sprint("user", i)}
		in.ClusterRoleBindings = append(in.ClusterRoleBindings, everywhere("p", subject, subject))
	}
	in.RoleBindings = append(in.RoleBindings, inside("pathology", "ClusterRole", "s", anna))
	for i := range in.ClusterRoleBindings {
		in.ClusterRoleBindings[i].Name = fmt.Sprint("b", i)
	}
	got := rights.Find(in)
	if len(got.Findings) != 3 || got.Rest[rights.NodesProxy] != 3 || got.Count(rights.NodesProxy) != 5 || !got.Has(rights.SecretsReadable) {
		t.Errorf("%s\nrest %v", lines(got), got.Rest)
	}
	if got.Has(rights.ClaimsForgeable) || got.Count(rights.ClaimsForgeable) != 0 {
		t.Error("nobody forges")
	}
}

func TestALongNameIsCut(t *testing.T) {
	got := rights.Subject{Kind: "User", Name: strings.Repeat("x", 5000)}.String()
	if len(got) > 200 || !strings.HasSuffix(got, `…"`) {
		t.Error(got)
	}
}

func TestEveryReasonIsOneOfTheList(t *testing.T) {
	for _, test := range cases() {
		for _, found := range rights.Find(test.in).Findings {
			if !slices.Contains(rights.Reasons(), found.Reason) {
				t.Errorf("%s: %s", test.name, found.Reason)
			}
		}
	}
}

func BenchmarkFindAmong10000Bindings(b *testing.B) {
	in := world()
	for i := range 200 {
		in.ClusterRoles = append(in.ClusterRoles, clusterRole(fmt.Sprint("c", i),
			rule("get,list,watch", "", "pods,services,secrets"), rule("create,update,patch", "apps", "deployments"), rule("get", "batch", "jobs")))
	}
	for i := range 10000 {
		subject := rbacv1.Subject{Kind: "User", Name: fmt.Sprint("user", i%500)}
		bound := inside(fmt.Sprint("ns", i%100), "ClusterRole", fmt.Sprint("c", i%200), subject)
		if i%100 == 0 {
			bound.Namespace = "pathology"
		}
		in.RoleBindings = append(in.RoleBindings, bound)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := rights.Find(in); !got.Has(rights.SecretsReadable) {
			b.Fatal("nothing found")
		}
	}
}
