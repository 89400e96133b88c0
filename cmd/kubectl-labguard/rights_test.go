// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/rights"
)

const configurationRequest = "GET /api/v1/namespaces/labguard-system/configmaps/labguard"

// clusterOfRights answers with a few roles and bindings, in two pages where there are two, and a configuration.
func clusterOfRights() map[string]any {
	kind := func(version, name string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: version, Kind: name} }
	const rbac, lab = "rbac.authorization.k8s.io/v1", "labguard.dev/v1alpha1"
	role := func(name, verb, resource string) rbacv1.ClusterRole {
		return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{Verbs: []string{verb}, APIGroups: []string{""}, Resources: []string{resource}}}}
	}
	bound := func(role string, holders ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
		return rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "give-" + role}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role}, Subjects: holders}
	}
	reader := rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "readers"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "re\x1bader"}},
	}
	runner := rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "gitops", Name: "runners"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "runner"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "anna"}},
	}
	pages := "GET /apis/" + rbac + "/clusterroles?"
	return map[string]any{
		pages + "limit=1000": rbacv1.ClusterRoleList{
			TypeMeta: kind(rbac, "ClusterRoleList"), ListMeta: metav1.ListMeta{Continue: "more"}, Items: []rbacv1.ClusterRole{role("proxy", "get", "nodes/proxy")},
		},
		pages + "continue=more&limit=1000": rbacv1.ClusterRoleList{TypeMeta: kind(rbac, "ClusterRoleList"), Items: []rbacv1.ClusterRole{role("runner", "create", "pods")}},
		"GET /apis/" + rbac + "/clusterrolebindings?limit=1000": rbacv1.ClusterRoleBindingList{TypeMeta: kind(rbac, "ClusterRoleBindingList"), Items: []rbacv1.ClusterRoleBinding{
			bound("proxy", rbacv1.Subject{Kind: "Group", Name: "sre"}, rbacv1.Subject{Kind: "User", Name: "monitoring"}, rbacv1.Subject{Kind: "ServiceAccount", Namespace: "tools", Name: "bot"}),
		}},
		"GET /apis/" + rbac + "/roles?limit=1000": rbacv1.RoleList{TypeMeta: kind(rbac, "RoleList"), Items: []rbacv1.Role{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "reader"}, Rules: role("", "get", "secrets").Rules,
		}}},
		"GET /apis/" + rbac + "/rolebindings?limit=1000": rbacv1.RoleBindingList{TypeMeta: kind(rbac, "RoleBindingList"), Items: []rbacv1.RoleBinding{reader, runner}},
		"GET /apis/" + lab + "/labworkloads?limit=1000": v1alpha1.LabWorkloadList{
			TypeMeta: kind(lab, "LabWorkloadList"), Items: []v1alpha1.LabWorkload{{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}}},
		},
		"GET /apis/" + lab + "/identityproviders?limit=1000": v1alpha1.IdentityProviderList{TypeMeta: kind(lab, "IdentityProviderList")},
		configurationRequest: corev1.ConfigMap{
			TypeMeta: kind("v1", "ConfigMap"), Data: map[string]string{
				configurationKey: "trustDomain: lab.example\naccess:\n  machines: [{namespace: gitops, serviceAccount: argo}]\n  trusted: [{kind: ServiceAccount, namespace: tools, name: bot}]\n",
			},
		},
	}
}

// rightsOf runs the command against a cluster with some answers.
func rightsOf(t *testing.T, answers map[string]any, change func(*rightsOptions)) (session, error) {
	t.Helper()
	listener := httptest.NewServer(&server{answers: answers})
	t.Cleanup(listener.Close)
	cluster, err := newClusterRights(&rest.Config{Host: listener.URL})
	if err != nil {
		t.Fatal(err)
	}
	o := &rightsOptions{namespace: "labguard-system", user: "system:serviceaccount:labguard-system:labguard", limit: rights.DefaultLimit}
	if change != nil {
		change(o)
	}
	listed, err := o.listed()
	if err != nil {
		t.Fatal(err)
	}
	s := newSession()
	err = s.rights(t.Context(), cluster, o, listed)
	return s, err
}

func TestFindingsAreListedWithTheirBindingAndRole(t *testing.T) {
	t.Parallel()
	s, err := rightsOf(t, clusterOfRights(), func(o *rightsOptions) { o.trusted = []string{"User/monitoring"} })
	if err == nil || err.Error() != "2 findings keep MFAEnforced from being True" {
		t.Error(err)
	}
	expect(t, "the table", s.out.String(), `
		FINDING                    HOLDER            MAY               IN          THROUGH                                              BREAKS
		MachineIdentityClaimable   User/anna         create pods       gitops      rolebinding/runners -> clusterrole/runner            that people are asked to log in
		NodesProxy                 Group/sre         get nodes/proxy   (all)       clusterrolebinding/give-proxy -> clusterrole/proxy   admission and audit
		SecretsReadable            User/re\x1bader   get secrets       pathology   rolebinding/readers -> role/reader                   the secrecy of Secrets
		`)
	if s.err.Len() > 0 {
		t.Errorf("it says %s", s.err)
	}
}

func TestFindingsOfAReasonAreBounded(t *testing.T) {
	t.Parallel()
	s, err := rightsOf(t, clusterOfRights(), func(o *rightsOptions) { o.limit = 1 })
	if out := s.out.String(); err == nil || !strings.HasPrefix(err.Error(), "3 findings keep") || !strings.HasSuffix(out, "\nand 1 more NodesProxy: see --limit\n") ||
		strings.Count(out, "NodesProxy ") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestFindingsAreJSONForPrograms(t *testing.T) {
	t.Parallel()
	s, err := rightsOf(t, clusterOfRights(), func(o *rightsOptions) { o.output, o.limit = "json", 1 })
	var got rightsJSON
	if decoding := json.Unmarshal(s.out.Bytes(), &got); err == nil || decoding != nil || len(got.Findings) != 3 || got.Rest[rights.NodesProxy] != 1 {
		t.Fatalf("%v, %v\n%s", err, decoding, s.out)
	}
	first, last := got.Findings[0], got.Findings[2]
	if first.Finding != rights.MachineIdentityClaimable || first.Holder != (subjectJSON{Kind: "User", Name: "anna"}) || !first.Decides || last.Decides ||
		*first.Binding != (bindingJSON{Namespace: "gitops", Name: "runners", RoleKind: "ClusterRole", RoleName: "runner"}) {
		t.Errorf("it prints %s", s.out)
	}
}

func TestWhoeverMayNotReadTheConfigurationNamesMachinesByFlags(t *testing.T) {
	t.Parallel()
	answers := clusterOfRights()
	delete(answers, configurationRequest)
	s, err := rightsOf(t, answers, func(o *rightsOptions) { o.machines = []string{"system:serviceaccount:gitops:argo"} })
	if err == nil || !strings.HasPrefix(s.err.String(), "labguard's configuration is not read, so only what the flags say") || !strings.Contains(s.out.String(), "User/anna") {
		t.Errorf("%v\n%s%s", err, s.out, s.err)
	}
	trusting := func(o *rightsOptions) {
		o.trusted = []string{"Group/sre", "User/monitoring", "ServiceAccount/tools/bot"}
	}
	if _, err := rightsOf(t, answers, trusting); err == nil || !strings.HasPrefix(err.Error(), "no listed machine is known") {
		t.Errorf("without machines it says %v", err)
	}
	named := func(o *rightsOptions) { trusting(o); o.machines = []string{"ci-robot"} }
	if s, err := rightsOf(t, answers, named); err != nil || !strings.Contains(s.out.String(), "SecretsReadable") {
		t.Errorf("what decides nothing is no failure: %v\n%s", err, s.out)
	}
}

func TestAKindThatCannotBeReadIsNoAnswer(t *testing.T) {
	t.Parallel()
	for request := range maps.Keys(clusterOfRights()) {
		if request == configurationRequest {
			continue
		}
		answers := clusterOfRights()
		delete(answers, request)
		if s, err := rightsOf(t, answers, nil); err == nil || !strings.HasPrefix(err.Error(), "list ") || s.out.Len() > 0 {
			t.Errorf("without %s: %v\n%s", request, err, s.out)
		}
	}
}
