// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"cmp"
	"slices"
	"strings"
)

// DecidePlainly decides about what a person needs a proof for, requirement by requirement, in order: nothing is arranged before, and nothing that several
// ask for is looked at once. Decide has to give the same answer.
func DecidePlainly(settings Settings, input Input) Answer {
	input.Policy = Arrange(settings)
	d := &decision{Input: &input}
	requirements := settings.Requirements[input.Request.Namespace]
	if input.Request.Cover == Token || input.Request.Cover == Platform {
		requirements = []Requirement{{MFA: &Rule{MaxAge: DefaultTokenMaxAge}, Enforce: true}}
		if settings.Tokens != nil {
			requirements = []Requirement{*settings.Tokens}
		}
		if input.Request.Cover == Token && len(input.Policy.machines[serviceAccountUser(input.Request.Namespace, input.Request.Name)]) == 0 ||
			input.Request.Cover == Platform && input.Request.Resource == "identityproviders" && !slices.ContainsFunc(settings.Providers, func(p Provider) bool { return p.Shown }) {
			requirements = nil
		}
		if input.Request.Cover == Platform && len(requirements) > 0 && requirements[0].MFA != nil {
			rule := *requirements[0].MFA
			rule.OnUnproven = UnprovenWarn
			requirements[0].MFA = &rule
		}
	}
	sorted := slices.Clone(requirements)
	slices.SortStableFunc(sorted, func(a, b Requirement) int { return strings.Compare(a.Workload, b.Workload) })
	d.reason, d.provider = d.identify()
	for i := range sorted {
		each := asked{requirement: &requirement{Requirement: sorted[i]}}
		each.mfa = each.MFA != nil && covered(each.MFA.Covers, input.Request.Cover)
		each.training = each.Training != nil && len(each.Training.Names) > 0 && covered(each.Training.Covers, input.Request.Cover)
		if about := input.Request.Cover != Access || input.Request.Pod == nil || each.Pods == nil || each.Pods.Matches(input.Request.Pod); about && (each.mfa || each.training) {
			d.asked = append(d.asked, each)
		}
	}
	for _, check := range []func(*decision) (Answer, bool){breakGlass, neverAsked, configured} {
		if answer, decided := check(d); decided {
			d.asked = nil
			return d.annotated(answer)
		}
	}
	if len(d.asked) == 0 {
		return d.annotated(Answer{Allowed: true, Reason: ReasonNotRequired})
	}
	if answer, listed := listedMachine(d); listed {
		return d.annotated(answer)
	}
	for i := range d.asked {
		d.weighPlainly(&d.asked[i])
	}
	return d.annotated(d.tally.answer(d))
}

func (d *decision) short(reason Reason, each *asked, effect effect, detail string) *group {
	at := d.tally.group(reason, effect, detail)
	d.tally.add(each, at)
	return &d.tally.groups[at]
}

func (d *decision) weighPlainly(each *asked) {
	switch {
	case d.reason == ReasonNoProvider:
		d.short(d.reason, each, unprovenEffect(each.Enforce, each.onUnproven()), "")
	case d.reason != "":
		d.short(d.reason, each, effectOf(each.Enforce), "")
	default:
		if each.mfa {
			d.weighLoginPlainly(each)
		}
		if each.training {
			d.weighTrainingPlainly(each)
		}
	}
}

func (d *decision) weighLoginPlainly(each *asked) {
	known, rule := d.provider, each.MFA
	methods, contexts, maxAge := known.asks(rule)
	unproven, wants := unprovenEffect(each.Enforce, rule.OnUnproven), cmp.Or(wanted(rule.Methods, rule.Contexts), known.wants)
	switch {
	case len(methods) == 0:
	case !known.ProvesMethods:
		d.short(ReasonProviderCannotProve, each, unproven, "methods (amr)")
	case !slices.ContainsFunc(methods, d.Person.has):
		d.short(ReasonMethodsMissing, each, effectOf(each.Enforce), wants)
	}
	switch {
	case len(contexts) == 0:
	case !known.ProvesContext:
		d.short(ReasonProviderCannotProve, each, unproven, "context (acr)")
	case d.Person.Context == "" || !slices.Contains(contexts, d.Person.Context):
		d.short(ReasonContextMissing, each, effectOf(each.Enforce), wants)
	}
	age := d.Now.Sub(d.Person.AuthTime)
	switch {
	case maxAge == 0:
	case !known.ProvesAuthTime:
		d.short(ReasonProviderCannotProve, each, unproven, "time of the login (auth_time)")
	case d.Person.AuthTime.IsZero() || age < -clockSkew:
		d.short(ReasonLoginTimeUnknown, each, effectOf(each.Enforce), "")
	case age > maxAge+clockSkew:
		group := d.short(ReasonLoginTooOld, each, effectOf(each.Enforce), "")
		if group.limit == 0 || maxAge < group.limit {
			group.limit = maxAge
		}
	}
}

func (d *decision) weighTrainingPlainly(each *asked) {
	effect := effectOf(each.Enforce)
	switch {
	case d.Person.Subject == "":
		d.short(ReasonSubjectUnknown, each, effect, "")
	case d.Missing == nil:
		d.short(ReasonTrainingUnknown, each, effect, "")
	default:
		for _, course := range d.Missing(d.Person.Issuer, d.Person.Subject, each.Training) {
			d.short(ReasonTrainingMissing, each, effect, course)
		}
	}
}
