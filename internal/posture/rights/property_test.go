// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/internal/posture/rights"
)

// request is what an authorizer is asked. The property below asks every dangerous request of every binding, one after the other.
type request struct {
	verb, group, resource, subresource, namespace, name string
}

// allows is the evaluation of one rule as https://kubernetes.io/docs/reference/access-authn-authz/rbac/ describes it.
func allows(rule rbacv1.PolicyRule, r request) bool {
	has := func(list []string, accepted ...string) bool {
		return slices.ContainsFunc(list, func(item string) bool { return slices.Contains(accepted, item) })
	}
	resources := []string{"*", r.resource}
	if r.subresource != "" {
		resources = []string{"*", r.resource + "/" + r.subresource, "*/" + r.subresource}
	}
	return has(rule.Verbs, "*", r.verb) && has(rule.APIGroups, "*", r.group) && has(rule.Resources, resources...) &&
		(len(rule.ResourceNames) == 0 || has(rule.ResourceNames, r.name))
}

// dangerous is every request of the small world below that goes around the gate, by its reason.
func dangerous() map[rights.Reason][]request {
	all := map[rights.Reason][]request{}
	ask := func(reason rights.Reason, verbs, group, resource, subresource string, namespaces, names []string) {
		for verb := range strings.SplitSeq(verbs, ",") {
			for _, namespace := range namespaces {
				for _, name := range names {
					all[reason] = append(all[reason], request{verb, group, resource, subresource, namespace, name})
				}
			}
		}
	}
	nowhere, whatever := []string{""}, append([]string{"", "something"}, names...)
	for _, key := range rights.DefaultClaimKeys() {
		ask(rights.ClaimsForgeable, "impersonate,impersonate:user-info", auth, "userextras", key, nowhere, whatever)
	}
	ask(rights.ClaimsForgeable, "impersonate:user-info", auth, "userextras", "*", nowhere, []string{"*"})
	ask(rights.ClaimsForgeable, "impersonate,impersonate:user-info", auth, "uids", "", nowhere, whatever)
	never := []string{"labguard:break-glass", "system:masters", "system:node:one"}
	ask(rights.ClaimsForgeable, "impersonate", "", "groups", "", nowhere, never)
	ask(rights.ClaimsForgeable, "impersonate:user-info", auth, "groups", "", nowhere, never)
	ask(rights.ClaimsForgeable, "approve,sign", "certificates.k8s.io", "signers", "", nowhere, []string{"kubernetes.io/kube-apiserver-client", "kubernetes.io/*"})

	ask(rights.MachineIdentityClaimable, "approve,sign", "certificates.k8s.io", "signers", "", nowhere, []string{"kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/*"})
	ask(rights.MachineIdentityClaimable, "create", "certificates.k8s.io", "certificatesigningrequests", "nodeclient", nowhere, []string{""})
	ask(rights.MachineIdentityClaimable, "impersonate", "", "users", "", nowhere, []string{"ci-robot", "system:node:one", "system:masters"})
	ask(rights.MachineIdentityClaimable, "impersonate:user-info", auth, "users", "", nowhere, []string{"ci-robot", "system:node:one", "system:masters"})
	ask(rights.MachineIdentityClaimable, "impersonate:arbitrary-node", auth, "nodes", "", nowhere, whatever)
	ask(rights.MachineIdentityClaimable, "impersonate:associated-node", auth, "nodes", "", nowhere, []string{"*"})
	for namespace, accounts := range map[string][]string{"gitops": {"argo"}, "kube-system": whatever} {
		there := []string{namespace}
		ask(rights.MachineIdentityClaimable, "impersonate", "", "serviceaccounts", "", there, accounts)
		ask(rights.MachineIdentityClaimable, "impersonate:serviceaccount", auth, "serviceaccounts", "", there, accounts)
		ask(rights.MachineIdentityClaimable, "create", "", "serviceaccounts", "token", there, accounts)
		ask(rights.MachineIdentityClaimable, "create", "", "pods", "", there, nowhere)
		ask(rights.MachineIdentityClaimable, "update,patch", "", "pods", "", there, whatever)
		ask(rights.MachineIdentityClaimable, "get,create", "", "pods", "exec", there, whatever)
		ask(rights.MachineIdentityClaimable, "get,create", "", "pods", "attach", there, whatever)
		ask(rights.MachineIdentityClaimable, "update,patch", "", "pods", "ephemeralcontainers", there, whatever)
		ask(rights.MachineIdentityClaimable, "get,list,watch", "", "secrets", "", there, whatever)
		ask(rights.MachineIdentityClaimable, "create", "", "replicationcontrollers", "", there, nowhere)
		ask(rights.MachineIdentityClaimable, "update,patch", "", "replicationcontrollers", "", there, whatever)
		for kind, group := range map[string]string{
			"deployments": "apps", "statefulsets": "apps", "daemonsets": "apps", "replicasets": "apps", "jobs": "batch", "cronjobs": "batch",
		} {
			ask(rights.MachineIdentityClaimable, "create", group, kind, "", there, nowhere)
			ask(rights.MachineIdentityClaimable, "update,patch", group, kind, "", there, whatever)
		}
	}
	ask(rights.NodesProxy, "get,create,update,patch,delete", "", "nodes", "proxy", nowhere, whatever)
	ask(rights.RolesEscalatable, "escalate", rbacv1.GroupName, "clusterroles", "", nowhere, whatever)
	for _, namespace := range []string{"pathology", "gitops", "kube-system"} {
		ask(rights.RolesEscalatable, "bind", rbacv1.GroupName, "clusterroles", "", []string{namespace}, whatever)
		ask(rights.RolesEscalatable, "bind,escalate", rbacv1.GroupName, "roles", "", []string{namespace}, whatever)
	}
	ask(rights.SecretsReadable, "get,list,watch", "", "secrets", "", []string{"pathology"}, whatever)
	return all
}

// pair is two requests that go around the gate together: granting oneself roles of machines.
type pair struct {
	verb, resource, beside string
	namespaces             []string
}

func pairs() []pair {
	machines, nowhere := []string{"gitops", "kube-system"}, []string{""}
	return []pair{
		{"bind", "clusterroles", "rolebindings", machines}, {"bind", "roles", "rolebindings", machines}, {"bind", "clusterroles", "clusterrolebindings", nowhere},
		{"escalate", "roles", "roles", machines}, {"escalate", "clusterroles", "clusterroles", nowhere},
	}
}

// held is a rule, where it holds and whose it is.
type held struct {
	rule                        rbacv1.PolicyRule
	namespace, binding, subject string
}

func (h held) allows(r request) bool {
	return (h.namespace == "" || h.namespace == r.namespace) && allows(h.rule, r)
}

// holders is who holds the rights below, and groupsOf which of them are groups of the others.
var (
	holders  = []rbacv1.Subject{anna, bot, {Kind: "Group", Name: "system:authenticated"}, {Kind: "Group", Name: "system:serviceaccounts"}}
	groupsOf = map[string][]string{
		"anna": {"system:authenticated"}, "bot": {"system:authenticated", "system:serviceaccounts"}, "system:serviceaccounts": {"system:authenticated"},
	}
)

// pairedWith says whether somebody may do the one half of a pair by one rule and the other half by any other.
func (p pair) pairedWith(one held, all []held, telling []string) bool {
	named := append([]string{"something"}, names...)
	if p.verb == "bind" && p.resource == "clusterroles" {
		named = telling
	}
	return slices.ContainsFunc(p.namespaces, func(namespace string) bool {
		may := slices.ContainsFunc(named, func(name string) bool {
			return one.allows(request{p.verb, rbacv1.GroupName, p.resource, "", namespace, name})
		})
		return may && slices.ContainsFunc(all, func(other held) bool {
			if other.subject != one.subject && !slices.Contains(groupsOf[one.subject], other.subject) {
				return false
			}
			created := other.allows(request{"create", rbacv1.GroupName, p.beside, "", namespace, ""})
			return created || slices.ContainsFunc(append([]string{"something"}, names...), func(name string) bool {
				return other.allows(request{"update", rbacv1.GroupName, p.beside, "", namespace, name}) ||
					other.allows(request{"patch", rbacv1.GroupName, p.beside, "", namespace, name})
			})
		})
	})
}

// tellingRoles are those that allow something dangerous anywhere, whatever their resourceNames, and one that does though nobody has written it here.
func tellingRoles(in rights.Input) []string {
	found, every := []string{"cluster-admin"}, dangerous()
	for _, role := range in.ClusterRoles {
		dangerousRule := func(rule rbacv1.PolicyRule) bool {
			rule.ResourceNames = nil
			for _, requests := range every {
				if slices.ContainsFunc(requests, func(r request) bool { return allows(rule, r) }) {
					return true
				}
			}
			return false
		}
		if slices.ContainsFunc(role.Rules, dangerousRule) {
			found = append(found, role.Name)
		}
	}
	return found
}

var (
	names     = []string{"r0", "r1", "kubernetes.io/kube-apiserver-client-kubelet", "argo", "other", "ci-robot", "labguard:break-glass", "readers", "*", "kubernetes.io/kube-apiserver-client", "kubernetes.io/*", "system:node:one", "system:masters"}
	verbs     = []string{"*", "get", "list", "create", "patch", "impersonate", "impersonate:user-info", "impersonate:serviceaccount", "impersonate:arbitrary-node", "impersonate:associated-node", "escalate", "bind", "approve", "delete"}
	groups    = []string{"", "*", auth, "apps", "batch", rbacv1.GroupName, "certificates.k8s.io"}
	resources = []string{
		"*", "pods", "pods/exec", "*/exec", "*/proxy", "nodes/proxy", "nodes", "secrets", "users", "groups", "uids", "serviceaccounts", "serviceaccounts/token",
		"*/token", "userextras/labguard.dev/amr", "userextras/*", "userextras/other", "*/labguard.dev/acr", "roles", "clusterroles", "deployments", "cronjobs",
		"signers", "pods/ephemeralcontainers", "replicationcontrollers", "rolebindings", "clusterrolebindings", "certificatesigningrequests/nodeclient",
	}
)

// kinds is the dangerous requests by resource and verb, in a fixed order: drawn by kind, so that a rare one comes as often as the many of machines.
var kinds = func() [][]request {
	byKind := map[string][]request{}
	for _, reason := range rights.Reasons() {
		for _, r := range dangerous()[reason] {
			kind := r.resource + "/" + r.subresource + "/" + r.verb
			byKind[kind] = append(byKind[kind], r)
		}
	}
	var sorted [][]request
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		slices.SortFunc(byKind[kind], func(a, b request) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		sorted = append(sorted, byKind[kind])
	}
	return sorted
}()

// drawPair is rules near those that go around the gate together.
func drawPair(t *rapid.T) []rbacv1.PolicyRule {
	p := rapid.SampledFrom(pairs()).Draw(t, "pair")
	grant, write := rule(p.verb, rbacv1.GroupName, p.resource), rule(rapid.SampledFrom([]string{"create", "update", "patch", "get"}).Draw(t, "writes"), rbacv1.GroupName, p.beside)
	if rapid.Bool().Draw(t, "granting is named") {
		grant.ResourceNames = rapid.SliceOfN(rapid.SampledFrom(names), 1, 2).Draw(t, "roles to grant")
	}
	if rapid.Bool().Draw(t, "writing is named") {
		write.ResourceNames = []string{"something"}
	}
	return rapid.SampledFrom([][]rbacv1.PolicyRule{{grant, write}, {grant}, {write}}).Draw(t, "both or one")
}

// drawRule starts from the rule that grants exactly one dangerous request and changes some of its parts, so that most rules are near the border.
func drawRule(t *rapid.T) rbacv1.PolicyRule {
	r := rapid.SampledFrom(rapid.SampledFrom(kinds).Draw(t, "kind")).Draw(t, "request")
	perhaps := func(exact string, others []string, label string) []string {
		if rapid.IntRange(0, 3).Draw(t, label+" changed") > 0 {
			return []string{exact}
		}
		return rapid.SliceOfN(rapid.SampledFrom(others), 1, 2).Draw(t, label)
	}
	resource := r.resource
	if r.subresource != "" {
		resource = rapid.SampledFrom([]string{r.resource, "*"}).Draw(t, "before the slash") + "/" + r.subresource
	}
	rule := rbacv1.PolicyRule{
		Verbs: perhaps(r.verb, verbs, "verb"), APIGroups: perhaps(r.group, groups, "group"), Resources: perhaps(resource, resources, "resource"),
	}
	if rapid.Bool().Draw(t, "named") {
		rule.ResourceNames = perhaps(cmp.Or(r.name, "something"), names, "name")
	}
	return rule
}

func drawInput(t *rapid.T) rights.Input {
	in := world()
	in.Limit = 1000
	for i := range rapid.IntRange(1, 3).Draw(t, "roles") {
		rules := rapid.SliceOfN(rapid.Custom(drawRule), 1, 2).Draw(t, "rules")
		switch rapid.IntRange(0, 7).Draw(t, "rules of another kind") {
		case 0:
			rules = append(rules, rule("*", "*", "*"))
		case 1, 2, 3:
			rules = drawPair(t)
		}
		in.ClusterRoles = append(in.ClusterRoles, clusterRole(fmt.Sprint("r", i), rules...))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "bindings") {
		role := fmt.Sprint("r", rapid.IntRange(0, 3).Draw(t, "role"))
		subject := rapid.SampledFrom(holders).Draw(t, "subject")
		namespace := rapid.SampledFrom([]string{"", "pathology", "gitops", "kube-system", "other"}).Draw(t, "namespace")
		meta := metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("b", i)}
		if namespace == "" {
			bound := everywhere(role, subject)
			bound.ObjectMeta = meta
			in.ClusterRoleBindings = append(in.ClusterRoleBindings, bound)
			continue
		}
		bound := inside(namespace, "ClusterRole", role, subject)
		bound.ObjectMeta = meta
		in.RoleBindings = append(in.RoleBindings, bound)
	}
	return in
}

// slowly asks each dangerous request of each binding, and says each holder, reason and binding once. Of an administrator it says nothing else, unless that
// is everybody.
func slowly(in rights.Input) []string {
	found, admins := map[string]bool{}, map[string]bool{}
	every, all, telling := dangerous(), heldBy(in), tellingRoles(in)
	for _, one := range all {
		line := func(reason rights.Reason) string {
			return fmt.Sprint(reason, " ", one.subject, " ", one.namespace, "/", one.binding)
		}
		if one.namespace == "" && allows(one.rule, request{"any", "any", "any", "", "any", "any"}) {
			admins[one.subject] = true
			found[fmt.Sprint(rights.ClusterAdmin, " ", one.subject)] = true
		}
		for reason, requests := range every {
			for _, r := range requests {
				// A right for every namespace is asked in that of the request.
				if one.allows(r) {
					found[line(reason)] = true
				}
			}
		}
		for _, p := range pairs() {
			if p.pairedWith(one, all, telling) {
				found[line(rights.MachineIdentityClaimable)] = true
			}
		}
	}
	maps.DeleteFunc(found, func(line string, _ bool) bool {
		fields := strings.Fields(line)
		named := fields[1] == "anna" || fields[1] == "bot"
		return admins[fields[1]] && named && fields[0] != string(rights.ClusterAdmin)
	})
	return slices.Sorted(maps.Keys(found))
}

// heldBy is every rule that a binding gives to somebody.
func heldBy(in rights.Input) []held {
	var all []held
	each := func(namespace, name, role, subject string) {
		for _, candidate := range in.ClusterRoles {
			for _, rule := range candidate.Rules {
				if candidate.Name == role {
					all = append(all, held{rule, namespace, name, subject})
				}
			}
		}
	}
	for _, b := range in.ClusterRoleBindings {
		each("", b.Name, b.RoleRef.Name, b.Subjects[0].Name)
	}
	for _, b := range in.RoleBindings {
		each(b.Namespace, b.Name, b.RoleRef.Name, b.Subjects[0].Name)
	}
	return all
}

func TestFindAgreesWithAskingEachRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		got := []string{}
		for _, f := range rights.Find(in).Findings {
			line := fmt.Sprint(f.Reason, " ", f.Subject.Name)
			if f.Reason != rights.ClusterAdmin {
				line += fmt.Sprint(" ", f.Binding.Namespace, "/", f.Binding.Name)
			}
			got = append(got, line)
		}
		slices.Sort(got)
		if want := slowly(in); !slices.Equal(got, want) {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestTheOrderOfObjectsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		want := lines(rights.Find(in))
		slices.Reverse(in.ClusterRoles)
		slices.Reverse(in.ClusterRoleBindings)
		slices.Reverse(in.RoleBindings)
		for i := range in.ClusterRoles {
			slices.Reverse(in.ClusterRoles[i].Rules)
		}
		if got := lines(rights.Find(in)); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestAnotherBindingNeverTakesAFindingAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		before := rights.Find(in)
		in.RoleBindings = append(in.RoleBindings, inside("pathology", "ClusterRole", "r0", rbacv1.Subject{Kind: "User", Name: "carla"}))
		after := rights.Find(in)
		for _, reason := range rights.Reasons() {
			if after.Count(reason) < before.Count(reason) {
				t.Fatalf("%s: %d, then %d", reason, before.Count(reason), after.Count(reason))
			}
		}
	})
}
