// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubectl

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

const everyRight = "clusterroles.rbac.authorization.k8s.io,clusterrolebindings.rbac.authorization.k8s.io,roles.rbac.authorization.k8s.io," +
	"rolebindings.rbac.authorization.k8s.io,labworkloads.labguard.dev,identityproviders.labguard.dev"

func TestWhoCouldGoAroundTheGateIsListedByWhoeverMayListRoles(t *testing.T) {
	lab, machines := cluster.Namespace(t), cluster.Namespace(t)
	kubectl(t, "create", "clusterrole", "kubectl-test-auditor", "--verb=list", "--resource="+everyRight)
	t.Cleanup(func() { kubectl(t, "delete", "clusterrole", "kubectl-test-auditor") })
	bind(t, "auditor", "kubectl-test-auditor", "list", "rolebindings.rbac.authorization.k8s.io")
	workload := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: lab, Name: "lis"},
		Spec:       v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}},
	}
	if err := api(t).Create(t.Context(), workload); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "role", "reader", "-n", lab, "--verb=get", "--resource=secrets")
	kubectl(t, "create", "rolebinding", "readers", "-n", lab, "--role=reader", "--user=kubectl-ben")
	kubectl(t, "create", "rolebinding", "editors", "-n", machines, "--clusterrole=edit", "--user=kubectl-anna")
	machine := "--machine=system:serviceaccount:" + machines + ":argo"

	out, errOut, err := labguard(t, "auditor", "rights", machine)
	if err == nil || !strings.Contains(errOut, "labguard's configuration is not read") || !strings.Contains(errOut, "from being True") {
		t.Errorf("%v\n%s", err, errOut)
	}
	for _, want := range []string{
		"MachineIdentityClaimable User/kubectl-anna impersonate serviceaccounts (+", machines + " rolebinding/editors -> clusterrole/edit that people are asked to log in",
		"SecretsReadable User/kubectl-ben get secrets " + lab + " rolebinding/readers -> role/reader the secrecy of Secrets",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	out, _, _ = labguard(t, "auditor", "rights", machine, "-o", "json", "--trust", "User/kubectl-anna")
	var answer struct {
		Findings []struct {
			Finding string
			Holder  corev1.ObjectReference
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	holders := map[string]string{}
	for _, found := range answer.Findings {
		holders[found.Holder.Name] = found.Finding
	}
	if holders["kubectl-ben"] != "SecretsReadable" || holders["kubectl-anna"] != "" {
		t.Errorf("the holders are %v", holders)
	}
}

func TestWhoeverMayNotListRolesIsToldWhatIsNeeded(t *testing.T) {
	out, errOut, err := labguard(t, "nobody", "rights")
	if err == nil || out != "" || !strings.HasPrefix(errOut, "error: it takes somebody who may list clusterroles, clusterrolebindings, roles, rolebindings, labworkloads") {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
}
