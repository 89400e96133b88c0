// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"slices"
	"time"
	"unique"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
)

// clockSkew is how far the clocks of the cluster and of a provider may be apart.
const clockSkew = 2 * time.Minute

// Request is what admission is asked about.
type Request struct {
	Cover Cover
	// Operation, Resource and Subresource are those of the admission request.
	Operation, Resource, Subresource string
	// Namespace and Name are those of the object; the name is empty where the API server makes one.
	Namespace, Name string
	// Pod are the labels of the pod that Access is about. Nil: they are not known, and every requirement of the namespace counts.
	Pod labels.Labels
	// DryRun says that nothing would be stored. It gets the same answer.
	DryRun bool
}

// Input is everything that decides.
type Input struct {
	// Policy is what the cluster asks for. Nil refuses.
	Policy *Policy
	Person Person
	// Request is what the person wants to do.
	Request Request
	// Missing gives the courses that somebody lacks at the instant of the decision. It has to compare issuer and subject byte by byte. Nil: the
	// records are not known.
	Missing func(issuer, subject string, courses *Courses) []string
	// Now is the instant of the decision.
	Now time.Time
}

// Answer is what Decide says. The zero value refuses.
type Answer struct {
	Allowed bool
	// Reason is the first reason of a refusal, in the order of the checks; else why it is allowed.
	Reason Reason
	// Message says of a refusal what to do. It names courses and never dates or records.
	Message string
	// Annotations are for the audit log: keys without a prefix, of the closed set of Annotation... They are on every answer.
	Annotations map[string]string
	// Warnings are for the person who asks.
	Warnings []string
}

// decision is one question on its way through the checks.
type decision struct {
	*Input
	asked []asked
	tally tally
	// provider is whose word the claims are, and reason why nobody's.
	provider *provider
	reason   Reason
	// age is that of the login, and noTime says that it is not known.
	age    time.Duration
	noTime bool
	// weighed are the groups of the tally that a check belongs to which several requirements share.
	weighed map[unique.Handle[string]][]int
}

// Decide answers whether a request may go through. The checks stand in the order in which they count; the first that knows the answer gives it.
func Decide(input Input) Answer {
	d := &decision{Input: &input, weighed: map[unique.Handle[string]][]int{}}
	for _, check := range []func(*decision) (Answer, bool){
		breakGlass, neverAsked, configured, notRequired, listedMachine,
	} {
		if answer, decided := check(d); decided {
			return d.annotated(answer)
		}
	}
	d.reason, d.provider = d.identify()
	d.age, d.noTime = d.Now.Sub(d.Person.AuthTime), d.Person.AuthTime.IsZero()
	for i := range d.asked {
		d.weigh(&d.asked[i])
	}
	return d.annotated(d.tally.answer(d))
}

// breakGlass comes first and needs nothing: neither a policy nor a provider that works (45 CFR 164.312(a)(2)(ii)).
func breakGlass(d *decision) (Answer, bool) {
	group := v1alpha1.BreakGlassGroup
	if d.Policy != nil {
		group = d.Policy.breakGlass
	}
	if !slices.Contains(d.Person.Groups, group) {
		return Answer{}, false
	}
	return Answer{Allowed: true, Reason: ReasonBreakGlass}, true
}

// neverAsked lets the cluster itself work: without its garbage collector, namespace controller and nodes nothing does.
func neverAsked(d *decision) (Answer, bool) {
	person := &d.Person
	if person.contradicts() {
		return Answer{}, false
	}
	switch person.Kind {
	case KindNode:
	case KindServiceAccount:
		if person.Namespace != "kube-system" {
			return Answer{}, false
		}
	case KindSystem:
		if !slices.Contains([]string{
			"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:cloud-controller-manager",
		}, person.User) {
			return Answer{}, false
		}
	default:
		return Answer{}, false
	}
	return Answer{Allowed: true, Reason: ReasonNeverAsked}, true
}

func configured(d *decision) (Answer, bool) {
	switch {
	case d.Policy == nil:
		return Answer{Reason: ReasonNotConfigured, Message: "labguard: refused (NotConfigured): labguard does not know yet what this cluster asks for: try again in a moment"}, true
	case !slices.Contains([]Cover{Access, Change, Posture, Token, Platform}, d.Request.Cover):
		return Answer{Reason: ReasonInvalidRequest, Message: "labguard: refused (InvalidRequest): this is nothing that labguard should be asked about: let the platform team look at its webhooks"}, true
	default:
		return Answer{}, false
	}
}

// notRequired finds what is asked of this request.
func notRequired(d *decision) (Answer, bool) {
	request, asking := &d.Request, d.Policy.requirements[d.Request.Namespace]
	if request.Cover == Token || request.Cover == Platform {
		asking = d.platform()
	}
	d.asked = asking.of(request)
	return Answer{Allowed: true, Reason: ReasonNotRequired}, len(d.asked) == 0
}

// platform is what is asked of whoever takes a token or writes what answers rest on. As long as no claims were ever seen to arrive, an IdentityProvider is written by somebody
// whose login nobody can know: it is the first, or it has to be put right.
func (d *decision) platform() asking {
	request := &d.Request
	switch {
	case request.Cover == Token && len(d.Policy.machines[serviceAccountUser(request.Namespace, request.Name)]) == 0:
		return nil
	case request.Cover == Token:
		return d.Policy.tokens
	case request.Resource == "identityproviders" && !d.Policy.shown:
		return nil
	default:
		return d.Policy.platform
	}
}

func listedMachine(d *decision) (Answer, bool) {
	return Answer{Allowed: true, Reason: ReasonListedMachine}, d.Policy.lists(&d.Person)
}

// weigh asks one requirement. All of them have to be content, so that one more is never a way in.
func (d *decision) weigh(each *asked) {
	switch d.reason {
	case "":
	case ReasonNoProvider:
		d.tally.add(each, d.tally.group(d.reason, unprovenEffect(each.Enforce, each.onUnproven()), ""))
		return
	default:
		d.tally.add(each, d.tally.group(d.reason, effectOf(each.Enforce), ""))
		return
	}
	if each.mfa {
		d.once(each, each.login, (*decision).weighLogin)
		d.weighAge(each)
	}
	if each.training {
		d.once(each, each.courses, (*decision).weighTraining)
	}
}

// once makes a check for the first requirement that needs it, and remembers for all others what came of it.
func (d *decision) once(each *asked, check unique.Handle[string], weigh func(*decision, *asked) []int) {
	groups, known := d.weighed[check]
	if !known {
		groups = weigh(d, each)
		d.weighed[check] = groups
	}
	for _, group := range groups {
		d.tally.add(each, group)
	}
}

// identify says whose word the claims are, or why nobody's.
func (d *decision) identify() (Reason, *provider) {
	person, policy := &d.Person, d.Policy
	known := policy.provider(person.Issuer)
	switch {
	case person.contradicts():
		return ReasonContradictoryIdentity, nil
	case person.machine():
		return ReasonUnlistedMachine, nil
	case !policy.provable():
		return ReasonNoProvider, nil
	case !person.Claims:
		return ReasonNoClaims, nil
	case known == nil:
		return ReasonIssuerUnknown, nil
	default:
		return "", known
	}
}

// weighLogin looks at everything about a login but its age.
func (d *decision) weighLogin(each *asked) (groups []int) {
	known, rule := d.provider, each.MFA
	methods, contexts, _ := known.asks(rule)
	unproven, wants := unprovenEffect(each.Enforce, rule.OnUnproven), cmp.Or(each.wants, known.wants)
	switch {
	case len(methods) == 0:
	case !known.ProvesMethods:
		groups = append(groups, d.tally.group(ReasonProviderCannotProve, unproven, "methods (amr)"))
	case !slices.ContainsFunc(methods, d.Person.has):
		groups = append(groups, d.tally.group(ReasonMethodsMissing, effectOf(each.Enforce), wants))
	}
	switch {
	case len(contexts) == 0:
	case !known.ProvesContext:
		groups = append(groups, d.tally.group(ReasonProviderCannotProve, unproven, "context (acr)"))
	case d.Person.Context == "" || !slices.Contains(contexts, d.Person.Context):
		groups = append(groups, d.tally.group(ReasonContextMissing, effectOf(each.Enforce), wants))
	}
	return groups
}

// weighAge looks how old a login is. That is less work than to find out who asks for the same.
func (d *decision) weighAge(each *asked) {
	_, _, maxAge := d.provider.asks(each.MFA)
	switch {
	case maxAge == 0:
	case !d.provider.ProvesAuthTime:
		d.tally.add(each, d.tally.group(ReasonProviderCannotProve, unprovenEffect(each.Enforce, each.MFA.OnUnproven), "time of the login (auth_time)"))
	case d.noTime || d.age < -clockSkew:
		d.tally.add(each, d.tally.group(ReasonLoginTimeUnknown, effectOf(each.Enforce), ""))
	case d.age > maxAge+clockSkew:
		at := d.tally.group(ReasonLoginTooOld, effectOf(each.Enforce), "")
		d.tally.add(each, at)
		if group := &d.tally.groups[at]; group.limit == 0 || maxAge < group.limit {
			group.limit = maxAge
		}
	}
}

func (d *decision) weighTraining(each *asked) (groups []int) {
	effect := effectOf(each.Enforce)
	switch {
	case d.Person.Subject == "":
		return []int{d.tally.group(ReasonSubjectUnknown, effect, "")}
	case d.Missing == nil:
		return []int{d.tally.group(ReasonTrainingUnknown, effect, "")}
	}
	for _, course := range d.Missing(d.Person.Issuer, d.Person.Subject, each.Training) {
		groups = []int{d.tally.group(ReasonTrainingMissing, effect, course)}
	}
	return groups
}

// has says whether a login used all methods of a set.
func (p *Person) has(set []string) bool {
	if len(set) == 0 {
		return false
	}
	for _, method := range set {
		if !slices.Contains(p.Methods, method) {
			return false
		}
	}
	return true
}

// onUnproven is the stricter of what a login and training say.
func (a *asked) onUnproven() OnUnproven {
	if a.mfa && a.MFA.OnUnproven != UnprovenWarn || a.training && a.Training.OnUnproven != UnprovenWarn {
		return UnprovenDeny
	}
	return UnprovenWarn
}
