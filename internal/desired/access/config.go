// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

const (
	// Name is the name of the first policy, of its binding, and of the first webhook configuration; the others have "-2", "-3" and so on behind it.
	Name = "labguard-access"
	// NamespacesPerObject is how many names one object lists, so that it stays far below the 1.5 MB that etcd takes.
	NamespacesPerObject = 1000
	// DefaultTimeoutSeconds is how long the API server waits for an answer, unless Config says otherwise.
	DefaultTimeoutSeconds int32 = 5
)

// Config is what the objects depend on. The order of the lists, and names that are there twice, change nothing.
type Config struct {
	// Namespaces are those in which something is asked of people. Of a namespace that is there twice the stricter counts.
	Namespaces []Namespace
	// Machines are the listed accounts.
	Machines []Machine
	// LabguardUser is the user name of labguard itself, such as system:serviceaccount:labguard-system:labguard.
	LabguardUser string
	// BreakGlass is the group that passes without being asked. Empty, or a group that everybody is in, means v1alpha1.BreakGlassGroup (see v1alpha1.EmergencyGroup).
	BreakGlass string
	// Providers are the keys under which claims arrive, of all identity providers.
	Providers []Provider
	// ArgoRollouts says whether the cluster serves rollouts.argoproj.io/v1alpha1.
	ArgoRollouts bool
	// Endpoint is where the API server reaches the webhooks.
	Endpoint policy.Endpoint
	// CABundle are the PEM certificates that the serving certificate of the webhooks chains to.
	CABundle []byte
	// TimeoutSeconds is how long the API server waits for a decision, 1 to 30; 0 means DefaultTimeoutSeconds.
	TimeoutSeconds int32
	// Anchor owns the objects, but for those in a file.
	Anchor policy.Anchor
}

// Asked says how much depends on what people are asked for.
type Asked int

const (
	// Nothing is asked for.
	Nothing Asked = iota
	// Told means that people are told what Enforce would do: a request goes through if nobody answers.
	Told
	// Enforced means that a request is refused unless labguard lets it through.
	Enforced
)

// Namespace is one in which something is asked of people.
type Namespace struct {
	Name string
	// Access is asked for ways into pods, Change for what runs.
	Access, Change Asked
	// Guarded says that the admission policy refuses ways into pods to whoever shows no claim of a login, as the webhook would whatever else it knows.
	Guarded bool
}

func (n Namespace) enforced() bool { return n.Access == Enforced || n.Change == Enforced }

// Stricter is the stricter of what two say about the same namespace.
func (n Namespace) Stricter(other Namespace) Namespace {
	return Namespace{Name: n.Name, Access: max(n.Access, other.Access), Change: max(n.Change, other.Change), Guarded: n.Guarded || other.Guarded}
}

// Machine is one account that the operator's configuration lists.
type Machine struct {
	// User is its user name; empty for a ServiceAccount.
	User string
	// Issuer is the one that has to vouch for User. Empty: the account shows no claims, as one with a client certificate.
	Issuer string
	// Namespace and Name are those of a ServiceAccount.
	Namespace, Name string
}

// user is the name under which the machine sends requests; empty if it names nothing.
func (m Machine) user() string {
	if m.User == "" && m.Namespace != "" && m.Name != "" {
		return serviceAccountPrefix + m.Namespace + ":" + m.Name
	}
	return m.User
}

// Provider is what the expressions know of one identity provider: an issuer, and the keys of userInfo.extra of its claims. An empty key is the default.
type Provider struct {
	Issuer string
	Keys   v1alpha1.ClaimKeys
}

const serviceAccountPrefix = "system:serviceaccount:"

// asking are the namespaces in which something is asked, by name, each once.
func (c Config) asking() []Namespace {
	byName := map[string]Namespace{}
	for _, namespace := range c.Namespaces {
		byName[namespace.Name] = namespace.Stricter(byName[namespace.Name])
	}
	sorted := slices.SortedFunc(maps.Values(byName), func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
	return slices.DeleteFunc(sorted, func(n Namespace) bool {
		return n.Name == "" || n.Access == Nothing && n.Change == Nothing && !n.Guarded
	})
}

// names are those of the namespaces of which something holds.
func names(namespaces []Namespace, holds func(Namespace) bool) []string {
	var found []string
	for _, namespace := range namespaces {
		if holds(namespace) {
			found = append(found, namespace.Name)
		}
	}
	return found
}

// claimKeys are the keys under which any claim may arrive. The default ones are always among them, as labguard reads them where no provider is known.
func (c Config) claimKeys() []string {
	keys := []string{v1alpha1.ClaimIssuer, v1alpha1.ClaimSubject, v1alpha1.ClaimMethods, v1alpha1.ClaimContext, v1alpha1.ClaimAuthTime}
	for _, provider := range c.Providers {
		of := provider.Keys
		keys = append(keys, string(of.Issuer), string(of.Subject), string(of.Methods), string(of.Context), string(of.AuthTime))
	}
	return once(keys)
}

// issuerKeys are the keys under which the issuer of claims may arrive.
func (c Config) issuerKeys() []string {
	keys := []string{v1alpha1.ClaimIssuer}
	for _, provider := range c.Providers {
		keys = append(keys, provider.issuerKey())
	}
	return once(keys)
}

func (p Provider) issuerKey() string {
	if p.Keys.Issuer == "" {
		return v1alpha1.ClaimIssuer
	}
	return string(p.Keys.Issuer)
}

// once sorts and takes out what is empty or there twice.
func once(texts []string) []string {
	kept := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return strings.TrimSpace(text) == "" })
	slices.Sort(kept)
	return slices.Compact(kept)
}
