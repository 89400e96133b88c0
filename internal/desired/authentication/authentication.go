// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authentication

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Configuration is the file of the flag --authentication-config. The types of the API server write fields that are empty, which would be for a reader to
// puzzle over.
type Configuration struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	JWT        []Entry `json:"jwt"`
}

// Entry is what the API server has to know of one issuer.
type Entry struct {
	Issuer               Issuer        `json:"issuer"`
	ClaimValidationRules []Rule        `json:"claimValidationRules,omitempty"`
	ClaimMappings        ClaimMappings `json:"claimMappings"`
	UserValidationRules  []Rule        `json:"userValidationRules"`
}

// Issuer says whose tokens are taken.
type Issuer struct {
	URL                  string   `json:"url"`
	Audiences            []string `json:"audiences"`
	AudienceMatchPolicy  string   `json:"audienceMatchPolicy,omitempty"`
	CertificateAuthority string   `json:"certificateAuthority,omitempty"`
}

// ClaimMappings say what of a token becomes what of a user.
type ClaimMappings struct {
	Username Username `json:"username"`
	Extra    []Extra  `json:"extra"`
}

// Username is an expression for the name of the user.
type Username struct {
	Expression string `json:"expression"`
}

// Extra is one key of userInfo.extra.
type Extra struct {
	Key             string `json:"key"`
	ValueExpression string `json:"valueExpression"`
}

// Rule is what has to hold of a token or a user.
type Rule struct {
	Expression string `json:"expression"`
	Message    string `json:"message"`
}

// Client is what the API server has to know of an issuer and an IdentityProvider does not say.
type Client struct {
	// Audiences are the client IDs whose tokens are taken; at least one.
	Audiences []string
	// CertificateAuthority is PEM; empty for what the machine of the API server trusts.
	CertificateAuthority string
}

// File is the file for some providers.
func File(client Client, providers ...v1alpha1.IdentityProviderSpec) Configuration {
	file := Configuration{APIVersion: "apiserver.config.k8s.io/v1", Kind: "AuthenticationConfiguration"}
	for _, provider := range providers {
		file.JWT = append(file.JWT, entry(client, provider))
	}
	return file
}

func entry(client Client, provider v1alpha1.IdentityProviderSpec) Entry {
	made := Entry{
		Issuer: Issuer{URL: provider.Issuer, Audiences: client.Audiences, CertificateAuthority: client.CertificateAuthority},
		ClaimMappings: ClaimMappings{
			Username: Username{Expression: username(provider)},
			Extra:    extra(provider),
		},
		UserValidationRules: []Rule{
			{Expression: "!user.username.startsWith('system:')", Message: "user names that begin with system: are for Kubernetes itself"},
			{
				Expression: "user.groups.all(group, !group.startsWith('system:') && !group.startsWith('labguard:'))",
				Message:    "groups that begin with system: are for Kubernetes itself, those that begin with labguard: for emergencies: no provider says who is in them",
			},
		},
	}
	if subjectOf(provider) == email {
		made.ClaimValidationRules = []Rule{{
			Expression: "claims.?email_verified.orValue(false) == true",
			Message:    "the provider does not say that the e-mail address is the person's own",
		}}
	}
	if len(client.Audiences) > 1 {
		made.Issuer.AudienceMatchPolicy = "MatchAny"
	}
	return made
}

// email is a claim that people can often write themselves. The API server asks for a look at email_verified where it sees that the user name is made of
// it; labguard's answer is stricter, as a provider that says nothing about an address has not verified it.
const email = "email"

// username puts the issuer in front of the subject, as the API server does by default where it is configured by flags: two issuers may have the same
// subject, and a name that begins with https:// is never one of Kubernetes' own. A token without a subject is no login.
func username(provider v1alpha1.IdentityProviderSpec) string {
	return strconv.Quote(provider.Issuer+"#") + " + " + claim(subjectOf(provider))
}

func subjectOf(provider v1alpha1.IdentityProviderSpec) string {
	return cmp.Or(provider.SubjectClaim, "sub")
}

// extra are the keys for what the provider proves. What it does not prove does not arrive: labguard would not believe it.
func extra(provider v1alpha1.IdentityProviderSpec) []Extra {
	own := provider.ClaimKeys
	made := []Extra{
		{Key: string(cmp.Or(own.Issuer, v1alpha1.ClaimIssuer)), ValueExpression: text("iss")},
		{Key: string(cmp.Or(own.Subject, v1alpha1.ClaimSubject)), ValueExpression: text(subjectOf(provider))},
	}
	for _, proven := range []struct {
		what  v1alpha1.ProvenClaim
		key   v1alpha1.ClaimKey
		value string
	}{
		{v1alpha1.ProvesMethods, cmp.Or(own.Methods, v1alpha1.ClaimMethods), texts("amr")},
		{v1alpha1.ProvesContext, cmp.Or(own.Context, v1alpha1.ClaimContext), text("acr")},
		{v1alpha1.ProvesAuthTime, cmp.Or(own.AuthTime, v1alpha1.ClaimAuthTime), seconds("auth_time")},
	} {
		if slices.Contains(provider.Proves, proven.what) {
			made = append(made, Extra{Key: string(proven.key), ValueExpression: proven.value})
		}
	}
	return made
}

// plain are names of claims that are identifiers of the expression language and none of its own words.
var plain = []string{"iss", "sub", "oid", email, "amr", "acr", "auth_time"}

// claim is an expression for a claim of any name that is there.
func claim(name string) string {
	if slices.Contains(plain, name) {
		return "claims." + name
	}
	return "claims[" + strconv.Quote(name) + "]"
}

// ofType is an expression that is true if a claim is there and has a type. The API server's map of claims knows no "in".
func ofType(name, kind string) string {
	present := "claims[?" + strconv.Quote(name) + "].hasValue()"
	if slices.Contains(plain, name) {
		present = "has(" + claim(name) + ")"
	}
	return present + " && type(" + claim(name) + ") == " + kind
}

// otherwise separates the choices of an expression. A text of several lines is a block in YAML, where nothing is quoted or folded.
const otherwise = "\n  : "

// text is an expression for a claim that is a text; empty, which is none, if it is something else.
func text(name string) string { return ofType(name, "string") + " ? " + claim(name) + otherwise + `""` }

// texts is an expression for a claim that is a list of texts, or one text, which some providers give instead. What of a list is no text is left out.
func texts(name string) string {
	return strings.Join([]string{
		ofType(name, "list") + " ? dyn(" + claim(name) + ").filter(value, type(value) == string)",
		ofType(name, "string") + " ? [" + claim(name) + "]",
		"[]",
	}, otherwise)
}

// seconds is an expression for a claim that is a number of seconds. JSON has doubles only, and a double as text may be 1.7e+09; int() fails for what is
// out of its range, and a failure would refuse the login.
func seconds(name string) string {
	const lastOfTheYear9999 = "253402300799.0"
	return ofType(name, "double") + " && " + claim(name) + " >= 0.0 && " + claim(name) + " <= " + lastOfTheYear9999 +
		" ? string(int(" + claim(name) + "))" + otherwise + text(name)
}
