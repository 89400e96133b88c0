// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authentication_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/testutil/authentication"
	"github.com/labguard/labguard/internal/testutil/provider"
)

const (
	folder       = "../../../config/authentication"
	providerFile = "identity-providers.yaml"

	keyIssuer, keySubject, keyMethods, keyContext, keyAuthTime = "labguard.dev/issuer", "labguard.dev/subject", "labguard.dev/amr", "labguard.dev/acr", "labguard.dev/auth-time"
)

// now is when all samples are read: an hour after the logins.
var (
	loggedIn = time.Date(2026, time.November, 26, 8, 0, 0, 0, time.UTC)
	now      = loggedIn.Add(time.Hour)
)

func products() []string { return []string{"auth0", "entra", "google", "keycloak", "okta"} }

// base are the claims that every token of a product has.
func base(product string) map[string]any {
	claims := map[string]any{"sub": "subject-1", "jti": "token-1", "auth_time": loggedIn.Unix()}
	switch product {
	case "entra":
		claims["oid"], claims["tid"], claims["ver"] = "33333333-3333-3333-3333-333333333333", "11111111-1111-1111-1111-111111111111", "2.0"
	case "google":
		claims["hd"], claims["email"], claims["email_verified"] = "lab.example", "ann@lab.example", true
	}
	return claims
}

func issuer(t testing.TB, product string) *authentication.Issuer {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, product+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := authentication.Load(content)
	if err != nil {
		t.Fatal(err)
	}
	if len(configuration.JWT) != 1 {
		t.Fatalf("%d entries", len(configuration.JWT))
	}
	made, err := authentication.NewIssuer(t.Context(), configuration.JWT[0])
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// identityProviders are the objects for labguard by name.
func identityProviders(t *testing.T) map[string]v1alpha1.IdentityProvider {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, providerFile))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]v1alpha1.IdentityProvider{}
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content)))
	buffer := make([]byte, len(content))
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		var object v1alpha1.IdentityProvider
		if err := strict.UnmarshalStrict(buffer[:n], &object); err != nil {
			t.Fatal(err)
		}
		if object.Kind != "IdentityProvider" || object.APIVersion != v1alpha1.GroupVersion.String() {
			t.Fatalf("%s %s", object.APIVersion, object.Kind)
		}
		found[object.Name] = object
	}
}

func sources(providers map[string]v1alpha1.IdentityProvider) []identity.Source {
	var all []identity.Source
	for name := range providers {
		all = append(all, identity.Source{Issuer: providers[name].Spec.Issuer})
	}
	return all
}

func TestEveryProductHasItsFileAndItsObject(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if name := filepath.Base(file); name != providerFile {
			names = append(names, strings.TrimSuffix(name, ".yaml"))
		}
	}
	if diff := cmp.Diff(products(), names); diff != "" {
		t.Errorf("files: -want +got\n%s", diff)
	}
	if diff := cmp.Diff(products(), slices.Sorted(maps.Keys(identityProviders(t)))); diff != "" {
		t.Errorf("objects: -want +got\n%s", diff)
	}
}

// sample is a set of claims as a product sends it, and what the API server and labguard make of it.
type sample struct {
	claims   map[string]any
	user     string
	groups   []string
	subject  string
	methods  []string
	context  string
	authTime bool
}

// samples are by product. Where a product's documentation shows a token, its values are those of the documentation.
func samples() map[string]map[string]sample {
	const oid = "33333333-3333-3333-3333-333333333333"
	return map[string]map[string]sample{
		"keycloak": {
			"password and code": {
				map[string]any{"amr": []string{"pwd", "otp"}, "acr": "2", "groups": []string{"lab"}, "azp": "kubernetes", "typ": "ID"},
				"keycloak:subject-1", []string{"keycloak:lab"}, "subject-1", []string{"otp", "pwd"}, "2", true,
			},
			"by single sign-on":   {map[string]any{"amr": []string{}, "acr": "0"}, "keycloak:subject-1", nil, "subject-1", nil, "0", true},
			"without the mappers": {map[string]any{"auth_time": nil}, "keycloak:subject-1", nil, "subject-1", nil, "", false},
		},
		"okta": {
			"password and SMS": {
				map[string]any{"amr": []string{"sms", "mfa", "pwd"}, "ver": 1, "idp": "00oigpTeBgMQaeKYm0g3"},
				"okta:subject-1", nil, "subject-1", []string{"mfa", "pwd", "sms"}, "", true,
			},
			"password": {map[string]any{"amr": []string{"pwd"}, "groups": []string{"lab"}}, "okta:subject-1", []string{"okta:lab"}, "subject-1", []string{"pwd"}, "", true},
			"class that the client asked for": {
				map[string]any{"amr": []string{"mfa", "pwd"}, "acr": "urn:okta:loa:2fa:any"}, "okta:subject-1", nil, "subject-1", []string{"mfa", "pwd"}, "urn:okta:loa:2fa:any", true,
			},
		},
		"entra": {
			"context met":            {map[string]any{"acrs": []string{"p1", "c1"}, "roles": []string{"lab"}}, "entra:" + oid, []string{"entra:lab"}, oid, nil, "c1", true},
			"context as text":        {map[string]any{"acrs": "c1"}, "entra:" + oid, nil, oid, nil, "c1", true},
			"another context":        {map[string]any{"acrs": []string{"c2"}}, "entra:" + oid, nil, oid, nil, "", true},
			"no optional claims":     {map[string]any{"auth_time": nil}, "entra:" + oid, nil, oid, nil, "", false},
			"amr of an older token":  {map[string]any{"amr": []string{"pwd", "mfa"}}, "entra:" + oid, nil, oid, nil, "", true},
			"too many groups for it": {map[string]any{"_claim_names": map[string]string{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.example"}}}, "entra:" + oid, nil, oid, nil, "", true},
		},
		"google": {
			"second factor":          {map[string]any{"amr": []string{"pwd", "mfa"}}, "google:subject-1", nil, "subject-1", []string{"mfa", "pwd"}, "", true},
			"issuer without https":   {map[string]any{"iss": "accounts.google.com", "amr": []string{"hwk"}}, "google:subject-1", nil, "subject-1", []string{"hwk"}, "", true},
			"not a verified program": {map[string]any{"auth_time": nil}, "google:subject-1", nil, "subject-1", nil, "", false},
		},
		"auth0": {
			"second factor": {
				map[string]any{"amr": []string{"mfa"}, "acr": "http://schemas.openid.net/pape/policies/2007/06/multi-factor", "https://lab.example/roles": []string{"lab"}},
				"auth0:subject-1", []string{"auth0:lab"}, "subject-1", []string{"mfa"}, "http://schemas.openid.net/pape/policies/2007/06/multi-factor", true,
			},
			"password, or refreshed": {map[string]any{"auth_time": nil}, "auth0:subject-1", nil, "subject-1", nil, "", false},
		},
	}
}

// merged lets the second win; nil in it takes the claim out.
func merged(first, second map[string]any) map[string]any {
	claims := maps.Clone(first)
	maps.Copy(claims, second)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return claims
}

func TestClaimsOfProductsArrive(t *testing.T) {
	providers := identityProviders(t)
	for product, all := range samples() {
		made := issuer(t, product)
		for name, c := range all {
			t.Run(product+"/"+name, func(t *testing.T) {
				user, err := made.User(t.Context(), merged(base(product), c.claims))
				if err != nil {
					t.Fatal(err)
				}
				if user.Username != c.user {
					t.Errorf("user name %q, want %q", user.Username, c.user)
				}
				if diff := cmp.Diff(c.groups, user.Groups); diff != "" {
					t.Errorf("groups: -want +got\n%s", diff)
				}
				facts := identity.Recognise(user, sources(providers), now)
				if facts.Issuer != providers[product].Spec.Issuer || facts.Subject != c.subject || facts.Context != c.context || len(facts.Problems) > 0 {
					t.Errorf("labguard reads %+v", facts)
				}
				if diff := cmp.Diff(c.methods, facts.Methods); diff != "" {
					t.Errorf("methods: -want +got\n%s", diff)
				}
				want := time.Time{}
				if c.authTime {
					want = loggedIn
				}
				if !facts.AuthTime.Equal(want) {
					t.Errorf("time of the login %s, want %s", facts.AuthTime, want)
				}
			})
		}
	}
}

// What is believed of a provider has to arrive from it at least in one of its samples.
func TestWhatAProviderProvesArrives(t *testing.T) {
	for product, object := range identityProviders(t) {
		for _, claim := range object.Spec.Proves {
			arrives := slices.ContainsFunc(slices.Collect(maps.Values(samples()[product])), func(s sample) bool {
				switch claim {
				case v1alpha1.ProvesMethods:
					return len(s.methods) > 0
				case v1alpha1.ProvesContext:
					return s.context != ""
				default:
					return s.authTime
				}
			})
			if !arrives {
				t.Errorf("%s: no sample has %s", product, claim)
			}
		}
	}
}

// A claim of a type that nobody expects must not keep its owner out of the cluster, and must not be taken for a login.
func TestClaimsOfOtherTypesAreLeftOut(t *testing.T) {
	odd := map[string]any{
		"a number": 1, "a fraction": 1.5, "true": true, "an object": map[string]any{"mfa": true}, "null": nullClaim{}, "a list of lists": [][]string{{"mfa"}},
		"a mixed list": []any{"mfa", 1}, "an empty list": []string{}, "an empty text": "",
	}
	for _, product := range products() {
		made := issuer(t, product)
		for name, value := range odd {
			for claim, key := range map[string]string{"amr": keyMethods, "acr": keyContext, "acrs": keyContext, "auth_time": keyAuthTime} {
				// These are what they should be.
				if claim == "auth_time" && (name == "a number" || name == "a fraction") {
					continue
				}
				user, err := made.User(t.Context(), merged(base(product), map[string]any{claim: value}))
				if err != nil {
					t.Errorf("%s: %s as %s: %v", product, claim, name, err)
					continue
				}
				if values, found := user.Extra[key]; found {
					t.Errorf("%s: %s as %s arrives as %q", product, claim, name, values)
				}
			}
		}
	}
}

// nullClaim is a claim that is there and is null.
type nullClaim struct{}

// MarshalJSON implements json.Marshaler.
func (nullClaim) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestTimesOfLogins(t *testing.T) {
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"seconds":           {int64(1764144000), "1764144000"},
		"with a fraction":   {1764144000.75, "1764144000"},
		"with an exponent":  {1.764144e9, "1764144000"},
		"digits as text":    {"1764144000", ""},
		"1970":              {0, "0"},
		"before 1970":       {-5, ""},
		"no time of humans": {1e300, ""},
		"milliseconds":      {int64(1764144000000), ""},
	} {
		for _, product := range products() {
			user, err := issuer(t, product).User(t.Context(), merged(base(product), map[string]any{"auth_time": c.value}))
			if err != nil {
				t.Errorf("%s: %s: %v", product, name, err)
				continue
			}
			if got := strings.Join(user.Extra[keyAuthTime], " "); got != c.want {
				t.Errorf("%s: %s arrives as %q, want %q", product, name, got, c.want)
			}
		}
	}
}

func TestTokensThatMustNotPass(t *testing.T) {
	for name, c := range map[string]struct {
		product string
		claims  map[string]any
		says    string
	}{
		"for another client":                {"keycloak", map[string]any{"aud": "another"}, "audience"},
		"of another issuer":                 {"keycloak", map[string]any{"iss": "https://keycloak.lab.example/realms/other"}, "another issuer"},
		"with a slash too many":             {"okta", map[string]any{"iss": "https://lab.okta.com/"}, "another issuer"},
		"expired":                           {"okta", map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, "expired"},
		"of a private account":              {"google", map[string]any{"hd": nil}, "hd"},
		"of another company":                {"google", map[string]any{"hd": "other.example"}, "hd"},
		"without the object ID":             {"entra", map[string]any{"oid": nil}, "oid"},
		"of an account of a personal kind":  {"entra", map[string]any{"iss": "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"}, "another issuer"},
		"of another tenant of the product":  {"auth0", map[string]any{"iss": "https://other.eu.auth0.com/"}, "another issuer"},
		"whose groups are a list of a list": {"keycloak", map[string]any{"groups": [][]string{{"lab"}}}, "groups"},
	} {
		t.Run(name, func(t *testing.T) {
			user, err := issuer(t, c.product).User(t.Context(), merged(base(c.product), c.claims))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v", user, err)
			}
		})
	}
}

// Whoever takes a prefix out still cannot let a provider name users and groups of Kubernetes or of the emergency.
func TestReservedNamesAreRefusedWithoutPrefixesToo(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(folder, "keycloak.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	bare := strings.ReplaceAll(string(content), `prefix: "keycloak:"`, `prefix: ""`)
	configuration, err := authentication.Load([]byte(bare))
	if err != nil {
		t.Fatal(err)
	}
	made, err := authentication.NewIssuer(t.Context(), configuration.JWT[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, claims := range map[string]map[string]any{
		"a system user":     {"sub": "system:kube-controller-manager"},
		"administrators":    {"groups": []string{"lab", "system:masters"}},
		"the break glasses": {"groups": "labguard:break-glass"},
	} {
		if user, err := made.User(t.Context(), merged(base("keycloak"), claims)); err == nil || !strings.Contains(err.Error(), "begin with system") {
			t.Errorf("%s: %+v, %v", name, user, err)
		}
	}
	user, err := made.User(t.Context(), merged(base("keycloak"), map[string]any{"groups": []string{"lab"}}))
	if err != nil || user.Username != "subject-1" || !slices.Equal(user.Groups, []string{"lab"}) {
		t.Errorf("an ordinary user: %+v, %v", user, err)
	}
}

// The provider of the tests is configured by the expressions that users are told to take.
func TestProviderOfTestsIsConfiguredAlike(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(folder, "keycloak.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	documented, err := authentication.Load(content)
	if err != nil {
		t.Fatal(err)
	}
	used, err := authentication.Load([]byte(provider.Configuration(provider.New(t))))
	if err != nil {
		t.Fatal(err)
	}
	words := func(expression string) string { return strings.Join(strings.Fields(expression), " ") }
	want, got := map[string]string{}, map[string]string{}
	for _, mapping := range documented.JWT[0].ClaimMappings.Extra {
		want[mapping.Key] = words(mapping.ValueExpression)
	}
	for _, mapping := range used.JWT[0].ClaimMappings.Extra {
		got[mapping.Key] = words(mapping.ValueExpression)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-documented +used\n%s", diff)
	}
}

func TestConfigurationsThatAreNone(t *testing.T) {
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
	for name, c := range map[string]struct{ content, says string }{
		"nothing":           {"", "read"},
		"another kind":      {"apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: []\n", "AuthorizationConfiguration"},
		"an unknown field":  {head + "jwts: []\n", "unknown field"},
		"no audience":       {head + "jwt:\n- issuer: {url: 'https://a.example'}\n  claimMappings: {username: {claim: sub, prefix: ''}}\n", "audiences"},
		"no such operation": {head + "jwt:\n- issuer: {url: 'https://a.example', audiences: [a]}\n  claimMappings: {username: {expression: 'claims.sub.whatever()'}}\n", "compilation failed"},
	} {
		if _, err := authentication.Load([]byte(c.content)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDocumentationShowsTheExpressions(t *testing.T) {
	documentation, err := os.ReadFile("../../../docs/identity-providers.md")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(folder, "keycloak.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	configuration, err := authentication.Load(content)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(string(documentation)), " ")
	for _, mapping := range configuration.JWT[0].ClaimMappings.Extra {
		if mapping.Key != keyMethods && mapping.Key != keyAuthTime {
			continue
		}
		if !strings.Contains(words, strings.Join(strings.Fields(mapping.ValueExpression), " ")) {
			t.Errorf("the documentation has another expression for %s", mapping.Key)
		}
	}
	for _, product := range products() {
		if !strings.Contains(words, "config/authentication/"+product+".yaml") {
			t.Errorf("the documentation does not have %s", product)
		}
	}
}
