// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// laid is an object of a kind: base with the fields of spec laid over it.
func laid(t *testing.T, kind, base, spec string) *unstructured.Unstructured {
	t.Helper()
	fields := map[string]any{}
	for _, text := range []string{base, spec} {
		if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatalf("the test's own YAML: %v\n%s", err, text)
		}
	}
	return object(kind, fields)
}

// breaks gives every rule what keeps it and what breaks it, and returns the refusals.
func breaks(t *testing.T, c dynamic.ResourceInterface, rules []rule, made func(t *testing.T, spec string) *unstructured.Unstructured) string {
	t.Helper()
	var refusals strings.Builder
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if len(r.accepted) == 0 || len(r.refused) == 0 {
				t.Fatal("a rule needs an object that passes and one that fails")
			}
			for _, spec := range r.accepted {
				if _, err := create(t, c, made(t, spec)); err != nil {
					t.Errorf("not accepted:\n%s\n%v", spec, err)
				}
			}
			for _, want := range r.refused {
				refusals.WriteString(refuses(t, c, made(t, want.spec), want))
			}
		})
	}
	return refusals.String()
}

// everyMessageIn fails for a CEL rule of a CRD whose message is not in the refusals.
func everyMessageIn(t *testing.T, refusals, path string, rules int) {
	t.Helper()
	found := allMessages(t, path)
	if len(found) != rules {
		t.Errorf("found %d rules, and there are %d: %q", len(found), rules, found)
	}
	for _, message := range found {
		if !strings.Contains(refusals, message) {
			t.Errorf("no object above broke the rule %q", message)
		}
	}
}

func identityProvider(t *testing.T, spec string) *unstructured.Unstructured {
	t.Helper()
	return laid(t, "IdentityProvider", "{issuer: 'https://login.lab.example', proves: [Methods, Context, AuthTime]}", spec)
}

func identityProviders(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	c, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c.Resource(v1alpha1.GroupVersion.WithResource("identityproviders"))
}

func identityProviderRules() []rule {
	const (
		keyForm    = "a key is a domain and a path in lower case, as in the AuthenticationConfiguration of the API server, such as labguard.dev/amr"
		keyNotOurs = "keys of k8s.io and kubernetes.io are Kubernetes' own, and no AuthenticationConfiguration can fill them"
		claimName  = "subjectClaim is the name of a claim, such as sub"
	)
	field := func(name, value string) string { return name + `: "` + value + `"` }
	key := func(value string) string { return "claimKeys: {methods: '" + value + "'}" }
	return []rule{
		{
			name: "an issuer is the one of tokens", accepted: []string{field("issuer", "https://login.lab.example/realms/lab/"), field("issuer", "https://"+strings.Repeat("a", 504))},
			refused: []refusal{
				{spec: "issuer: null", field: "issuer", says: "Required value"},
				{spec: field("issuer", "http://login.lab.example"), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", "https://login.lab.example?a=b"), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", "https://login.lab.example#a"), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", "https://ann@login.lab.example"), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", `https://login.lab.example\u200B`), field: "issuer", says: issuerIsURL},
				{spec: field("issuer", "https://"), field: "issuer", says: "at least 9 chars long"},
				{spec: field("issuer", "https://"+strings.Repeat("a", 505)), field: "issuer", says: "may not be more than 512"},
			},
		},
		{
			name: "a claim tells its people apart", accepted: []string{field("subjectClaim", "oid"), field("subjectClaim", strings.Repeat("c", 128))},
			refused: []refusal{
				{spec: field("subjectClaim", "user id"), field: "subjectClaim", says: claimName},
				{spec: field("subjectClaim", ""), field: "subjectClaim", says: "at least 1 chars long"},
				{spec: field("subjectClaim", strings.Repeat("c", 129)), field: "subjectClaim", says: "may not be more than 128"},
			},
		},
		{
			name: "keys are those of an AuthenticationConfiguration",
			accepted: []string{
				"claimKeys: {issuer: idp.example/iss, subject: idp.example/oid, methods: idp.example/amr, context: idp.example/acr, authTime: idp.example/auth_time}",
				key("k8s.io.example/amr"), key("notkubernetes.io/amr"), key(strings.Repeat("d", 249) + "/amr"),
			},
			refused: []refusal{
				{spec: "claimKeys: {}", field: "claimKeys", says: "at least 1 properties"},
				{spec: key("amr"), field: "claimKeys.methods", says: keyForm},
				{spec: key("IdP.example/amr"), field: "claimKeys.methods", says: keyForm},
				{spec: key("idp.example/a/b"), field: "claimKeys.methods", says: keyForm},
				{spec: key("idp.example/"), field: "claimKeys.methods", says: keyForm},
				{spec: "claimKeys: {issuer: idp.example/-}", field: "claimKeys.issuer", says: keyForm},
				{spec: "claimKeys: {subject: '*/sub'}", field: "claimKeys.subject", says: keyForm},
				{spec: key("kubernetes.io/amr"), field: "claimKeys.methods", says: keyNotOurs},
				{spec: "claimKeys: {context: authentication.kubernetes.io/credential-id}", field: "claimKeys.context", says: keyNotOurs},
				{spec: "claimKeys: {authTime: x.k8s.io/time}", field: "claimKeys.authTime", says: keyNotOurs},
				{spec: key("/a"), field: "claimKeys.methods", says: "at least 3 chars long"},
				{spec: key(strings.Repeat("d", 250) + "/amr"), field: "claimKeys.methods", says: "may not be more than 253"},
			},
		},
		{
			name: "a provider proves something", accepted: []string{"proves: [AuthTime]", "proves: [Context, Methods]"},
			refused: []refusal{
				{spec: "proves: null", field: "proves", says: "Required value"},
				{spec: "proves: []", field: "proves", says: "should have at least 1 items"},
				{spec: "proves: [Location]", field: "proves[0]", says: `supported values: "Methods", "Context", "AuthTime"`},
				{spec: "proves: [Methods, Methods]", field: "proves[1]", says: "Duplicate value"},
			},
		},
		{
			name: "a provider asks only for what it proves",
			accepted: []string{
				"{proves: [Methods], methods: [[mfa]]}", "{proves: [Context], contexts: [phr]}", "{proves: [AuthTime], maxAge: 8h}",
				"{methods: [[mfa], [pwd, otp]], contexts: [phr], maxAge: 8h}",
			},
			refused: []refusal{
				{spec: "{proves: [Context, AuthTime], methods: [[mfa]]}", says: "nobody can show methods that the provider does not prove: add Methods to proves, or leave methods out"},
				{spec: "{proves: [Methods, AuthTime], contexts: [phr]}", says: "nobody can show contexts that the provider does not prove: add Context to proves, or leave contexts out"},
				{spec: "{proves: [Methods, Context], maxAge: 8h}", says: "maxAge needs the time of the login, which this provider does not prove: add AuthTime to proves, or leave maxAge out"},
			},
		},
		{
			name: "what a good login is has the form of LabWorkloads", accepted: []string{"maxAge: 5m", "methods: " + list(16, "[m%d]"), "contexts: " + list(16, "c%d")},
			refused: []refusal{
				{spec: "maxAge: 1m", field: "maxAge", says: loginBetween},
				{spec: "maxAge: 1d", field: "maxAge", says: loginForm},
				{spec: "methods: [['a b']]", field: "methods[0][0]", says: methodIsWord},
				{spec: "methods: [[pwd]]", field: "methods[0]", says: oneFactor},
				{spec: "methods: [[mfa, mfa]]", field: "methods[0][1]", says: "Duplicate value"},
				{spec: "methods: " + list(17, "[m%d]"), field: "methods", says: "must have at most 16 items"},
				{spec: "contexts: ['a b']", field: "contexts[0]", says: contextWord},
				{spec: "contexts: []", field: "contexts", says: "should have at least 1 items"},
				{spec: "contexts: " + list(17, "c%d"), field: "contexts", says: "must have at most 16 items"},
			},
		},
	}
}

func TestRulesOfIdentityProvider(t *testing.T) {
	c := identityProviders(t)
	refusals := breaks(t, c, identityProviderRules(), identityProvider)
	t.Run("whose word it is never changes, and what counts as a good login does", func(t *testing.T) {
		refusals += keepsItsIssuer(t, c)
	})
	t.Run("no CEL rule is without a test", func(t *testing.T) {
		everyMessageIn(t, refusals, "../../config/crd/bases/labguard.dev_identityproviders.yaml", 21)
	})
}

func keepsItsIssuer(t *testing.T, c dynamic.ResourceInterface) string {
	t.Helper()
	provider, err := c.Create(t.Context(), identityProvider(t, ""), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), provider.GetName(), metav1.DeleteOptions{}) })
	if diff := cmp.Diff("sub", provider.Object["spec"].(map[string]any)["subjectClaim"]); diff != "" {
		t.Errorf("the default of subjectClaim (-want +got):\n%s", diff)
	}
	update := func(spec string) error {
		changed := identityProvider(t, spec)
		changed.SetResourceVersion(provider.GetResourceVersion())
		_, err := c.Update(t.Context(), changed, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	if err := update("{subjectClaim: oid, proves: [Methods], methods: [[hwk]]}"); err != nil {
		t.Errorf("another idea of a good login: %v", err)
	}
	err = update("issuer: 'https://login.lab.example/'")
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "issuer never changes: make another IdentityProvider and delete this one") {
		t.Errorf("the answer to another issuer is %v", err)
		return ""
	}
	return err.Error()
}

// The status is labguard's: the time at which claims were seen, and two conditions.
func TestStatusOfIdentityProvider(t *testing.T) {
	c := identityProviders(t)
	provider, err := c.Create(t.Context(), identityProvider(t, "issuer: 'https://status.lab.example'"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), provider.GetName(), metav1.DeleteOptions{}) })
	const seen = "{type: ClaimsSeen, status: 'True', reason: ClaimsArrived, message: '', lastTransitionTime: '2026-11-23T00:00:00Z'}"
	update := func(status string) error {
		changed, fields := provider.DeepCopy(), map[string]any{}
		if err := yaml.Unmarshal([]byte(status), &fields); err != nil {
			t.Fatalf("the test's own YAML: %v\n%s", err, status)
		}
		changed.Object["status"] = fields
		options := metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
		_, err := c.UpdateStatus(t.Context(), changed, options)
		return err
	}
	for _, status := range []string{"claimsSeenAt: '2026-11-23T07:00:00Z'", "conditions: [" + seen + "]"} {
		if err := update(status); err != nil {
			t.Errorf("not accepted:\n%s\n%v", status, err)
		}
	}
	for _, want := range []refusal{
		{spec: "claimsSeenAt: today", field: "claimsSeenAt", says: "must be of type date-time"},
		{spec: "conditions: [" + seen + ", " + seen + "]", field: "conditions[1]", says: "Duplicate value"},
		{spec: "conditions: [{type: ClaimsSeen, status: 'Yes', reason: A, message: '', lastTransitionTime: '2026-11-23T00:00:00Z'}]", field: "conditions[0].status", says: `supported values: "True", "False", "Unknown"`},
	} {
		err := update(want.spec)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "status."+want.field) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("the answer to\n%s\nis %v, want a refusal that names %s and says %q", want.spec, err, want.field, want.says)
		}
	}
}
