// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
)

// clockSkew is how far the clocks of the cluster and of a provider may be apart.
const clockSkew = 2 * time.Minute

// maxLooked is how many different lists of courses one decision remembers.
const maxLooked = 8

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
	// looked are the training records that were looked up for requirements that ask for the same.
	looked []looked
}

type looked struct {
	courses *Courses
	missing []string
}

// asked is one requirement that is about the request, with what it asks.
type asked struct {
	*requirement
	mfa, training bool
}

// Decide answers whether a request may go through. The checks stand in the order in which they count; the first that knows the answer gives it.
func Decide(input Input) Answer {
	d := &decision{Input: &input}
	for _, check := range []func(*decision) (Answer, bool){
		breakGlass, neverAsked, configured, notRequired, listedMachine,
	} {
		if answer, decided := check(d); decided {
			return d.annotated(answer)
		}
	}
	d.reason, d.provider = d.identify()
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

// notRequired gathers what is asked of this request. Only Access to one pod is told apart by the pod's labels: who may change anything in a namespace can
// mount its volumes and Secrets in a pod with other labels.
func notRequired(d *decision) (Answer, bool) {
	request := &d.Request
	requirements := d.Policy.requirements[request.Namespace]
	if request.Cover == Token || request.Cover == Platform {
		requirements = d.platform()
	}
	byPod := request.Cover == Access && request.Pod != nil
	if !byPod {
		d.asked = make([]asked, 0, len(requirements))
	}
	for i := range requirements {
		each := &requirements[i]
		mfa := each.MFA != nil && covers(each.MFA.Covers, request.Cover)
		training := each.Training != nil && len(each.Training.Names) > 0 && covers(each.Training.Covers, request.Cover)
		if !mfa && !training || byPod && each.Pods != nil && !each.Pods.Matches(request.Pod) {
			continue
		}
		d.asked = append(d.asked, asked{requirement: each, mfa: mfa, training: training})
	}
	return Answer{Allowed: true, Reason: ReasonNotRequired}, len(d.asked) == 0
}

// platform is what is asked of whoever takes a token or writes what answers rest on. The first IdentityProvider is written by somebody whose login nobody can know.
func (d *decision) platform() []requirement {
	request := &d.Request
	switch {
	case request.Cover == Token && len(d.Policy.machines[serviceAccountUser(request.Namespace, request.Name)]) == 0:
		return nil
	case request.Cover == Platform && request.Resource == "identityproviders" && !d.Policy.provable():
		return nil
	default:
		return d.Policy.tokens
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
		d.tally.add(d.reason, each, unprovenEffect(each.Enforce, each.onUnproven()), "")
		return
	default:
		d.tally.add(d.reason, each, effectOf(each.Enforce), "")
		return
	}
	if each.mfa {
		d.weighLogin(each)
	}
	if each.training {
		d.weighTraining(each)
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

func (d *decision) weighLogin(each *asked) {
	known, rule := d.provider, each.MFA
	methods, contexts, maxAge := known.asks(rule)
	unproven, wants := unprovenEffect(each.Enforce, rule.OnUnproven), cmp.Or(each.wants, known.wants)
	switch {
	case len(methods) == 0:
	case !known.ProvesMethods:
		d.tally.add(ReasonProviderCannotProve, each, unproven, "methods (amr)")
	case !slices.ContainsFunc(methods, d.Person.has):
		d.tally.add(ReasonMethodsMissing, each, effectOf(each.Enforce), wants)
	}
	switch {
	case len(contexts) == 0:
	case !known.ProvesContext:
		d.tally.add(ReasonProviderCannotProve, each, unproven, "context (acr)")
	case d.Person.Context == "" || !slices.Contains(contexts, d.Person.Context):
		d.tally.add(ReasonContextMissing, each, effectOf(each.Enforce), wants)
	}
	age := d.Now.Sub(d.Person.AuthTime)
	switch {
	case maxAge == 0:
	case !known.ProvesAuthTime:
		d.tally.add(ReasonProviderCannotProve, each, unproven, "time of the login (auth_time)")
	case d.Person.AuthTime.IsZero() || age < -clockSkew:
		d.tally.add(ReasonLoginTimeUnknown, each, effectOf(each.Enforce), "")
	case age > maxAge+clockSkew:
		group := d.tally.add(ReasonLoginTooOld, each, effectOf(each.Enforce), "")
		if group.limit == 0 || maxAge < group.limit {
			group.limit = maxAge
		}
	}
}

func (d *decision) weighTraining(each *asked) {
	effect := effectOf(each.Enforce)
	switch {
	case d.Person.Subject == "":
		d.tally.add(ReasonSubjectUnknown, each, effect, "")
	case d.Missing == nil:
		d.tally.add(ReasonTrainingUnknown, each, effect, "")
	default:
		for _, course := range d.missing(each.courses) {
			d.tally.add(ReasonTrainingMissing, each, effect, course)
		}
	}
}

// missing looks up once what several requirements ask for; Arrange lets those that ask for the same share it.
func (d *decision) missing(courses *Courses) []string {
	at := slices.IndexFunc(d.looked, func(l looked) bool { return l.courses == courses })
	if at >= 0 {
		return d.looked[at].missing
	}
	missing := d.Missing(d.Person.Issuer, d.Person.Subject, courses)
	if len(d.looked) < maxLooked {
		d.looked = append(d.looked, looked{courses: courses, missing: missing})
	}
	return missing
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
