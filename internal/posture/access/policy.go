// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Cover is one sort of request that a requirement is about.
type Cover string

const (
	// Access is a way into a pod: CONNECT of pods/exec, attach, portforward and proxy and of services/proxy, and UPDATE of pods/ephemeralcontainers.
	Access Cover = "Access"
	// Change is CREATE, UPDATE or DELETE of what runs in a governed namespace, of what leads to it, and of labguard's own kinds.
	Change Cover = "Change"
	// Posture is CREATE, UPDATE or DELETE of what labguard asks for in a governed namespace, its LabWorkloads above all. It counts as Access and as Change, as it would
	// switch either off.
	Posture Cover = "Posture"
	// Token is CREATE of serviceaccounts/token. It is asked about for listed machines and labguard alone.
	Token Cover = "Token"
	// Platform is a write of what all answers rest on, wherever it stands: IdentityProviders, TrainingRecords, and acknowledgements of break glass. The rule about tokens
	// is asked about it.
	Platform Cover = "Platform"
)

// OnUnproven says what happens where nobody can prove what a rule needs. It is never about a login that was not good enough.
type OnUnproven string

const (
	// UnprovenDeny refuses; it is what the zero value means.
	UnprovenDeny OnUnproven = "Deny"
	// UnprovenWarn lets through with a warning.
	UnprovenWarn OnUnproven = "Warn"
)

// DefaultTokenMaxAge is how old a login may be that asks for a token of a listed machine, if the configuration does not say.
const DefaultTokenMaxAge = 12 * time.Hour

// defaultMethods is asked for where neither a requirement nor the provider says what a good login is. Two different methods are no proof: a
// password and a security question (pwd, kba) are one factor.
var defaultMethods = [][]string{{"mfa"}}

// Rule says what login is good enough. All that it says has to hold.
type Rule struct {
	// MaxAge is how long ago the login may be; 0 is no limit.
	MaxAge time.Duration
	// Methods are sets of authentication methods (amr): all of one set have to be there. An empty set is never there.
	Methods [][]string
	// Contexts are authentication context classes (acr) of which the login has one.
	Contexts []string
	// Covers says what requests the rule is about; empty is Access and Change.
	Covers []Cover
	// OnUnproven says what happens where the provider cannot prove what the rule needs.
	OnUnproven OnUnproven
}

// Courses says what training a person needs.
type Courses struct {
	// Names are the courses, all of which are needed.
	Names []string
	// MaxAge is how long ago a course may have been completed; 0 is no limit.
	MaxAge time.Duration
	// Covers says what requests it is about; empty is Access and Change.
	Covers []Cover
	// OnUnproven says what happens where no identity provider is known at all, so that nobody can be found in the records.
	OnUnproven OnUnproven
}

// Requirement is what one LabWorkload asks of those who reach its pods or change its namespace.
type Requirement struct {
	// Workload names the LabWorkload, for messages.
	Workload string
	// Pods says which pods it is about; nil is all of its namespace.
	Pods labels.Selector
	// MFA and Training are what it asks for; nil asks for nothing.
	MFA      *Rule
	Training *Courses
	// Enforce says that what is asked for is enforced; otherwise it is only told.
	Enforce bool
}

// Override is what a provider says about good logins of its own: names of methods and contexts differ from issuer to issuer.
type Override struct {
	// Methods and Contexts count, together, for a requirement that names neither.
	Methods  [][]string
	Contexts []string
	// MaxAge counts where it is shorter than what the requirement says; 0 is no limit.
	MaxAge time.Duration
}

// Provider is one identity provider that the platform team knows.
type Provider struct {
	// Issuer is its URL, as it stands in tokens.
	Issuer string
	// ProvesMethods, ProvesContext and ProvesAuthTime say which claims it asserts from a login, and not from what a client asks for.
	ProvesMethods, ProvesContext, ProvesAuthTime bool
	// Shown says that such claims were seen to arrive, so that somebody is able to show a login.
	Shown bool
	// Rule is what it says about good logins.
	Rule Override
}

// asks is what a rule asks of logins at this provider.
func (p *Provider) asks(rule *Rule) (methods [][]string, contexts []string, maxAge time.Duration) {
	methods, contexts, maxAge = rule.Methods, rule.Contexts, rule.MaxAge
	if len(methods) == 0 && len(contexts) == 0 {
		methods, contexts = p.Rule.Methods, p.Rule.Contexts
		if len(methods) == 0 && len(contexts) == 0 {
			methods = defaultMethods
		}
	}
	if own := p.Rule.MaxAge; own != 0 && (maxAge == 0 || own < maxAge) {
		maxAge = own
	}
	return methods, contexts, maxAge
}

// proves says whether it can prove all that a rule asks for.
func (p *Provider) proves(rule *Rule) bool {
	methods, contexts, maxAge := p.asks(rule)
	return (p.ProvesMethods || len(methods) == 0) && (p.ProvesContext || len(contexts) == 0) && (p.ProvesAuthTime || maxAge == 0)
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

// user is the name under which the machine sends requests.
func (m Machine) user() string {
	if m.User == "" && m.Namespace != "" && m.Name != "" {
		return serviceAccountUser(m.Namespace, m.Name)
	}
	return m.User
}

func serviceAccountUser(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// Settings is everything that stands in configuration and in objects of the cluster.
type Settings struct {
	// Providers are the identity providers. An issuer that is there twice is not known.
	Providers []Provider
	// Machines are the listed accounts.
	Machines []Machine
	// Requirements are those of each governed namespace.
	Requirements map[string][]Requirement
	// BreakGlassGroup is the group of the emergency; empty is v1alpha1.BreakGlassGroup. A group that everybody is in is none.
	BreakGlassGroup string
	// Tokens is what a person needs who takes a token of a listed machine. Nil: a multi-factor login of the last DefaultTokenMaxAge, enforced.
	Tokens *Requirement
}

// Policy is Settings, arranged so that a decision looks up instead of searching. It is not changed after Arrange and may be shared.
type Policy struct {
	breakGlass string
	providers  map[string]*provider
	issuers    []string
	// shown says that claims of some provider were seen to arrive, also if its issuer is there twice now: a second provider takes back nothing of that.
	shown        bool
	machines     map[string][]Machine
	requirements map[string]asking
	tokens       asking
	platform     asking
}

// provider carries the words of what it wants, which many requests need.
type provider struct {
	Provider
	wants string
}

// Arrange puts settings in order. It keeps them: do not change them afterwards.
func Arrange(settings Settings) *Policy {
	policy := &Policy{
		breakGlass: v1alpha1.EmergencyGroup(settings.BreakGlassGroup), providers: map[string]*provider{}, machines: map[string][]Machine{},
		requirements: map[string]asking{},
	}
	policy.arrangeProviders(settings.Providers)
	for _, machine := range settings.Machines {
		if user := machine.user(); user != "" {
			policy.machines[user] = append(policy.machines[user], machine)
		}
	}
	for namespace, requirements := range settings.Requirements {
		policy.requirements[namespace] = asking{}.with(byWorkload(requirements), Access, Change, Posture)
	}
	tokens := Requirement{MFA: &Rule{MaxAge: DefaultTokenMaxAge}, Enforce: true}
	if settings.Tokens != nil {
		tokens = *settings.Tokens
	}
	policy.tokens = asking{}.with(byWorkload([]Requirement{tokens}), Token)
	// What nobody in the cluster can prove keeps nobody from recording a course or from answering for an emergency.
	if tokens.MFA != nil {
		rule := *tokens.MFA
		rule.OnUnproven = UnprovenWarn
		tokens.MFA = &rule
	}
	policy.platform = asking{}.with(byWorkload([]Requirement{tokens}), Platform)
	return policy
}

// With is the policy where some LabWorkloads of a namespace, by name, ask for what is given here, and for nothing else. It costs what has changed, and
// a copy of a list; the policy itself stays as it is.
func (p *Policy) With(namespace string, changed map[string][]Requirement) *Policy {
	other := *p
	other.requirements = maps.Clone(p.requirements)
	other.requirements[namespace] = p.requirements[namespace].with(changed, Access, Change, Posture)
	return &other
}

// Asks says whether anything is asked of people in a namespace.
func (p *Policy) Asks(namespace string) bool { return len(p.requirements[namespace][Posture]) > 0 }

func (p *Policy) arrangeProviders(providers []Provider) {
	twice := map[string]bool{}
	for _, each := range providers {
		p.shown = p.shown || each.Shown
		if _, found := p.providers[each.Issuer]; found || each.Issuer == "" {
			twice[each.Issuer] = true
		}
		methods, contexts, _ := each.asks(&Rule{})
		p.providers[each.Issuer] = &provider{Provider: each, wants: wanted(methods, contexts)}
	}
	for issuer, known := range p.providers {
		if twice[issuer] {
			known.Issuer = ""
			continue
		}
		p.issuers = append(p.issuers, issuer)
	}
	slices.Sort(p.issuers)
}

// provable says whether the cluster knows any identity provider, so that somebody could prove something.
func (p *Policy) provable() bool { return len(p.providers) > 0 }

func (p *Policy) provider(issuer string) *provider {
	known := p.providers[issuer]
	if known == nil || known.Issuer == "" {
		return nil
	}
	return known
}

// lists says whether somebody is a listed machine.
func (p *Policy) lists(person *Person) bool {
	if person.contradicts() {
		return false
	}
	return slices.ContainsFunc(p.machines[person.User], func(machine Machine) bool {
		return machine.Issuer == person.Issuer && person.Claims == (machine.Issuer != "")
	})
}
