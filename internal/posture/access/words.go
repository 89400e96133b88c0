// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labguard/labguard/internal/posture"
)

const (
	// maxName is the length to which names in messages are cut.
	maxName = 120
	// maxText is the length to which a whole message is cut.
	maxText = 2000
)

// annotated adds what the audit log keeps of every answer. The user and the claims stand there already, in the words of the API server.
func (d *decision) annotated(answer Answer) Answer {
	decision := "allowed"
	audited, unproven := d.tally.reasons(audits), d.tally.reasons(warns)
	switch {
	case !answer.Allowed:
		decision = "refused"
	case audited != "":
		decision = "audited"
	case unproven != "":
		decision = "warned"
	}
	answer.Annotations = map[string]string{AnnotationDecision: decision, AnnotationReason: string(answer.Reason), AnnotationKind: d.kind()}
	requirements := told{more: max(0, len(d.asked)-maxTold)}
	for _, each := range d.asked[:min(len(d.asked), maxTold)] {
		if each.Workload != "" {
			requirements.names = append(requirements.names, each.Workload)
		}
	}
	for key, value := range map[string]string{
		AnnotationCover: posture.Plain(string(d.Request.Cover), maxName), AnnotationRequirements: requirements.text(", "),
		AnnotationAudited: audited, AnnotationUnproven: unproven,
	} {
		if value != "" {
			answer.Annotations[key] = value
		}
	}
	if d.Request.DryRun {
		answer.Annotations[AnnotationDryRun] = "true"
	}
	return answer
}

func (d *decision) kind() string {
	if d.Person.machine() {
		return posture.Plain(string(d.Person.Kind), maxName)
	}
	return string(KindPerson)
}

// told puts one or more sentences into what a person reads.
func (d *decision) told(fate string, reason Reason, sentences string) string {
	request := &d.Request
	resource := request.Resource
	if request.Subresource != "" {
		resource += "/" + request.Subresource
	}
	what := strings.TrimSpace(posture.Plain(resource, maxName) + " " + posture.Plain(request.Name, maxName))
	if request.Cover != Access && request.Cover != Token {
		what = posture.Plain(request.Operation, maxName) + " of " + what
	}
	if request.Namespace != "" {
		what += " in namespace " + posture.Plain(request.Namespace, maxName)
	}
	return posture.Plain(fmt.Sprintf("labguard: %s %s (%s): %s", what, fate, reason, sentences), maxText)
}

// sentence says what one group of requirements misses and what to do about it.
func (d *decision) sentence(each *group) string {
	who, details := each.who(), each.details.some(" or ")
	again := "log in again at " + posture.Plain(d.Person.Issuer, maxName)
	switch each.reason {
	case ReasonContradictoryIdentity:
		return "the user name is one of a machine, and its claims or groups are not: log in as a person"
	case ReasonUnlistedMachine:
		return posture.Plain(d.Person.User, maxName) + " is not among the machines of labguard's configuration: do it as a person, or let the platform team list it"
	case ReasonNoProvider:
		return who + " asks for proofs, and the cluster knows no IdentityProvider: let the platform team configure one"
	case ReasonNoClaims:
		return "nothing says how this user has logged in: log in at " + d.issuers() + ", not with a certificate or a token of the cluster"
	case ReasonIssuerUnknown:
		return "this login is not of an issuer that labguard knows: log in at " + d.issuers()
	case ReasonProviderCannotProve:
		return fmt.Sprintf("%s asks for what %s cannot prove, the %s: log in elsewhere, or let the platform team look at its IdentityProvider",
			who, posture.Plain(d.Person.Issuer, maxName), each.details.some(" and the "))
	case ReasonMethodsMissing, ReasonContextMissing:
		return fmt.Sprintf("%s asks for a login with %s: %s with a second factor", who, details, again)
	case ReasonLoginTimeUnknown:
		return fmt.Sprintf("%s asks for a recent login, and this one does not say when it was: %s; if that does not help, let the platform team look at auth_time", who, again)
	case ReasonLoginTooOld:
		return fmt.Sprintf("%s asks for a login of the last %s: %s", who, posture.Exactly(each.limit), again)
	case ReasonSubjectUnknown:
		return who + " asks for training, and this login does not say who it is in a form that labguard can compare: let the platform team look at subjectClaim"
	case ReasonTrainingUnknown:
		return who + " asks for training, and the training records are not known at this moment: try again"
	case ReasonTrainingMissing:
		return fmt.Sprintf("%s asks for training: take the course %s, and let it be recorded", who, each.details.some(" and "))
	default:
		return who + " asks for more: let the platform team look"
	}
}

// unread says which claims could not be read, as that may be why something is missing.
func (d *decision) unread() string {
	var problems told
	for _, problem := range d.Person.Problems {
		problems.add(problem)
	}
	if text := problems.some("; "); text != "" {
		return "Not all of this login could be read: " + text
	}
	return ""
}

func (g *group) who() string {
	if names := g.workloads.text(", "); names != "" {
		return "LabWorkload " + names
	}
	return "labguard's configuration"
}

// issuers are where a person can log in.
func (d *decision) issuers() string {
	var known told
	for _, issuer := range d.Policy.issuers {
		known.add(issuer)
	}
	if text := known.text(" or "); text != "" {
		return text
	}
	return "an issuer that is configured once"
}

// text joins the names and says how many more there are.
func (t *told) text(separator string) string {
	if t.more == 0 {
		return t.joined(separator)
	}
	return fmt.Sprintf("%s and %d more", t.joined(separator), t.more)
}

// some joins the names and says that there are others.
func (t *told) some(separator string) string {
	if t.more == 0 {
		return t.joined(separator)
	}
	return t.joined(separator) + " and others"
}

func (t *told) joined(separator string) string {
	names := make([]string, len(t.names))
	for i, name := range t.names {
		names[i] = posture.Plain(name, maxName)
	}
	return strings.Join(names, separator)
}

// wanted says what methods and contexts a login needs.
func wanted(methods [][]string, contexts []string) string {
	var sets, classes told
	for _, set := range methods {
		if len(set) > 0 {
			sets.add(strings.Join(slices.Sorted(slices.Values(set)), "+"))
		}
	}
	for _, context := range contexts {
		classes.add(context)
	}
	text := sets.some(" or ")
	if also := classes.some(" or "); also != "" {
		text = strings.TrimPrefix(text+" and context "+also, " and ")
	}
	if text == "" && len(methods) > 0 {
		return "a set of no methods, which none has"
	}
	return text
}
