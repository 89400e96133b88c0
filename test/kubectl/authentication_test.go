// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubectl

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

func TestTheProvidersOfAClusterMakeOneFile(t *testing.T) {
	c := api(t)
	grant(t, "platform", "identityproviders.labguard.dev", "get")
	for name, issuer := range map[string]string{"kubectl-one": "https://one.example", "kubectl-two": "https://two.example/", "kubectl-same": "https://one.example"} {
		provider := &v1alpha1.IdentityProvider{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.IdentityProviderSpec{
			Issuer: issuer, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods},
		}}
		if err := c.Create(t.Context(), provider); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { kubectl(t, "delete", "identityprovider", name) })
	}
	out, errOut, err := labguard(t, "platform", "authentication", "kubectl-one", "kubectl-two", "--audience", "kubernetes")
	if err != nil || errOut != "" || strings.Count(out, "url: https://") != 2 || !strings.Contains(out, "url: https://two.example/\n") {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
	for _, c := range []struct{ names, want string }{
		{"kubectl-one kubectl-same", "error: two providers are of the issuer https://one.example, and the API server takes one"},
		{"kubectl-none", `error: get identityproviders: identityproviders.labguard.dev "kubectl-none" not found`},
	} {
		out, errOut, err := labguard(t, "platform", append([]string{"authentication", "--audience", "a"}, strings.Fields(c.names)...)...)
		if err == nil || out != "" || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: %v\n%s%s", c.names, err, out, errOut)
		}
	}
}
