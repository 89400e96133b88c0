// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
)

var (
	someIssuers  = []string{idp, entra, google, ci, "", "\xff\n"}
	someUsers    = []string{"mia", "deployer", "runner", "system:serviceaccount:flux-system:kustomize", "system:kube-controller-manager", "system:node:n1", "\x1b[31m"}
	someMethods  = []string{"mfa", "pwd", "otp", "hwk", "kba", "", "\xff"}
	someCovers   = []access.Cover{access.Access, access.Change, access.Posture, access.Token, access.Platform}
	unprovens    = []access.OnUnproven{"", access.UnprovenDeny, access.UnprovenWarn}
	someSets     = []labels.Set{nil, {}, {"app": "lis"}, {"app": "archive"}}
	ages         = []time.Duration{0, time.Hour, 12 * time.Hour, 100 * time.Hour, -time.Hour}
	theirCourses = []string{phishing, "gdpr", "fire"}
)

func pick[T any](t *rapid.T, name string, from ...T) T { return rapid.SampledFrom(from).Draw(t, name) }

func someOf[T any](t *rapid.T, name string, from []T, most int) []T {
	return rapid.SliceOfN(rapid.SampledFrom(from), 0, most).Draw(t, name)
}

func someRule(t *rapid.T) access.Rule {
	return access.Rule{
		MaxAge: pick(t, "maxAge", ages...), Methods: rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(someMethods), 0, 2), 0, 2).Draw(t, "sets"),
		Contexts: someOf(t, "contexts", []string{"c1", "c2", ""}, 2), Covers: someOf(t, "covers", someCovers[:2], 2), OnUnproven: pick(t, "unproven", unprovens...),
	}
}

func someRequirement(t *rapid.T) access.Requirement {
	each := access.Requirement{Workload: pick(t, "workload", "lis", "archive", "\xff\x1b", strings.Repeat("n", 253)), Enforce: rapid.Bool().Draw(t, "enforce")}
	if set := pick(t, "selector", someSets...); set != nil {
		each.Pods = labels.SelectorFromSet(set)
	}
	if rapid.Bool().Draw(t, "mfa") {
		rule := someRule(t)
		each.MFA = &rule
	}
	if rapid.Bool().Draw(t, "training") {
		each.Training = &access.Courses{
			Names: someOf(t, "courses", theirCourses, 3), Covers: someOf(t, "covers of training", someCovers[:2], 2), OnUnproven: pick(t, "unproven training", unprovens...),
		}
	}
	return each
}

func someRequirements(t *rapid.T) []access.Requirement {
	return rapid.SliceOfN(rapid.Custom(someRequirement), 0, 4).Draw(t, "requirements")
}

func someSettings(t *rapid.T) access.Settings {
	s := access.Settings{
		Machines:     settings().Machines,
		Requirements: map[string][]access.Requirement{lab: someRequirements(t)}, BreakGlassGroup: pick(t, "group", "", "night", "system:authenticated"),
	}
	for _, issuer := range someOf(t, "providers", someIssuers, 4) {
		s.Providers = append(s.Providers, access.Provider{
			Issuer: issuer, ProvesMethods: rapid.Bool().Draw(t, "methods"), ProvesContext: rapid.Bool().Draw(t, "context"), ProvesAuthTime: rapid.Bool().Draw(t, "time"),
			Shown: rapid.Bool().Draw(t, "shown"),
			Rule:  access.Override{MaxAge: pick(t, "own age", ages...), Contexts: someOf(t, "own contexts", []string{"c1"}, 1)},
		})
	}
	if rapid.Bool().Draw(t, "tokens") {
		own := someRequirement(t)
		s.Tokens = &own
	}
	return s
}

func somePerson(t *rapid.T) access.Person {
	p := access.Person{
		User: pick(t, "user", someUsers...), Groups: someOf(t, "groups", []string{"lab", "system:authenticated", v1alpha1.BreakGlassGroup, "night"}, 2),
		Kind:   pick(t, "kind", "", access.KindPerson, access.KindServiceAccount, access.KindNode, access.KindSystem),
		Claims: rapid.Bool().Draw(t, "claims"), Problems: someOf(t, "problems", []string{"amr: \x00"}, 1), Namespace: pick(t, "namespace", "", "kube-system", lab),
	}
	if p.Claims {
		p.Issuer, p.Subject = pick(t, "issuer", someIssuers...), pick(t, "subject", "mia", "", "mi\u0430")
		p.Methods, p.Context = someOf(t, "used", someMethods, 4), pick(t, "acr", "", "c1", "c2")
		p.AuthTime = now.Add(-pick(t, "age", ages[:4]...))
		if rapid.Bool().Draw(t, "no time") {
			p.AuthTime = time.Time{}
		}
	}
	return p
}

func someRequest(t *rapid.T) access.Request {
	r := access.Request{
		Cover: pick(t, "cover", access.Access, access.Change, access.Posture, access.Token, access.Platform, ""), Operation: "UPDATE", Resource: pick(t, "resource", "pods", "identityproviders"), Subresource: pick(t, "sub", "", "exec"),
		Namespace: pick(t, "where", lab, lab, "flux-system", "kitchen"), Name: pick(t, "name", "kustomize", "lis-0", "\xff\r\n"), DryRun: rapid.Bool().Draw(t, "dry"),
	}
	if set := pick(t, "labels", someSets...); set != nil {
		r.Pod = set
	}
	return r
}

// question is an input before it is arranged, so that a property can change one thing about it.
type question struct {
	settings access.Settings
	person   access.Person
	request  access.Request
	records  records
	now      time.Time
}

func someQuestion(t *rapid.T) question {
	held := records{}
	for _, issuer := range someIssuers {
		held[[2]string{issuer, "mia"}] = someOf(t, "held", theirCourses, 3)
	}
	return question{settings: someSettings(t), person: somePerson(t), request: someRequest(t), records: held, now: now}
}

func (q question) decide() access.Answer {
	return access.Decide(access.Input{Policy: access.Arrange(q.settings), Person: q.person, Request: q.request, Missing: q.records.missing, Now: q.now})
}

func (q question) with(requirements []access.Requirement) question {
	q.settings.Requirements = map[string][]access.Requirement{lab: requirements}
	return q
}

func TestPropertyOneMoreRequirementNeverTurnsARefusalIntoAnAllowance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q, more := someQuestion(t), someRequirement(t)
		before := q.decide()
		if after := q.with(append(slices.Clone(q.settings.Requirements[lab]), more)).decide(); after.Allowed && !before.Allowed {
			t.Fatalf("refused for %q, and allowed for %q once %+v is asked for too", before.Reason, after.Reason, more)
		}
	})
}

func TestPropertyAnOlderLoginNeverTurnsARefusalIntoAnAllowance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someQuestion(t)
		if q.person.AuthTime.IsZero() {
			q.person.AuthTime = now
		}
		before := q.decide()
		q.person.AuthTime = q.person.AuthTime.Add(-time.Duration(rapid.Int64Range(0, int64(200*time.Hour)).Draw(t, "older")))
		if after := q.decide(); after.Allowed && !before.Allowed {
			t.Fatalf("refused for %q, and allowed for %q once the login is older", before.Reason, after.Reason)
		}
	})
}

func TestPropertyNeitherTimeNorFewerProofsTurnARefusalIntoAnAllowance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someQuestion(t)
		before := q.decide()
		switch pick(t, "what is taken away", "time", "methods", "context", "login time", "subject", "courses") {
		case "time":
			q.now = q.now.Add(time.Duration(rapid.Int64Range(0, int64(200*time.Hour)).Draw(t, "later")))
		case "methods":
			q.person.Methods = q.person.Methods[:len(q.person.Methods)/2]
		case "context":
			q.person.Context = ""
		case "login time":
			q.person.AuthTime = time.Time{}
		case "subject":
			q.person.Subject = ""
		case "courses":
			q.records = records{}
		}
		if after := q.decide(); after.Allowed && !before.Allowed {
			t.Fatalf("refused for %q, and allowed for %q", before.Reason, after.Reason)
		}
	})
}

func TestPropertyEnforcingOrDenyingNeverTurnsARefusalIntoAnAllowance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someQuestion(t)
		before := q.decide()
		stricter := slices.Clone(q.settings.Requirements[lab])
		for i := range stricter {
			stricter[i].Enforce = true
			if rule := stricter[i].MFA; rule != nil {
				denies := *rule
				denies.OnUnproven = access.UnprovenDeny
				stricter[i].MFA = &denies
			}
		}
		after := q.with(stricter).decide()
		if after.Allowed && !before.Allowed {
			t.Fatalf("refused for %q, and allowed for %q when it is stricter", before.Reason, after.Reason)
		}
		if q.request.Cover != access.Token && q.request.Cover != access.Platform && after.Allowed && len(after.Warnings) > 0 && after.Annotations[access.AnnotationUnproven] == "" {
			t.Fatalf("nothing is at Audit, and yet something is only told: %q", after.Warnings)
		}
	})
}

func TestPropertyAMachineThatIsNotListedNeverPasses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someQuestion(t)
		q.person.Kind = pick(t, "machine", access.KindServiceAccount, access.KindSystem)
		q.person.User, q.person.Namespace = "system:serviceaccount:pathology:"+rapid.StringMatching("[a-z]{1,8}").Draw(t, "account"), lab
		q.person.Groups = []string{"system:serviceaccounts", "system:authenticated"}
		switch q.request.Cover {
		case access.Token:
			q.request.Namespace, q.request.Name, q.settings.Tokens = "flux-system", "kustomize", nil
		case access.Platform:
			q.request.Resource, q.settings.Tokens = "trainingrecords", nil
		default:
			q.request.Namespace = lab
			q.request.Pod = nil
			q = q.with(append(slices.Clone(q.settings.Requirements[lab]), access.Requirement{Workload: "strict", Enforce: true, MFA: &access.Rule{OnUnproven: pick(t, "warns", unprovens...)}}))
		}
		if got := q.decide(); got.Allowed {
			t.Fatalf("%q passes for %q", q.person.User, got.Reason)
		}
	})
}

func TestPropertyTheOrderOfRequirementsAndProvidersNeverDecides(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someQuestion(t)
		// Names that are alike would make the order of the stable sort visible in messages.
		for i := range q.settings.Requirements[lab] {
			q.settings.Requirements[lab][i].Workload = fmt.Sprintf("w%d", i)
		}
		other := q.with(rapid.Permutation(q.settings.Requirements[lab]).Draw(t, "requirements in another order"))
		other.settings.Providers = rapid.Permutation(q.settings.Providers).Draw(t, "providers in another order")
		if diff := cmp.Diff(q.decide(), other.decide()); diff != "" {
			t.Fatalf("another answer:\n%s", diff)
		}
	})
}

func TestPropertyAnAnswerIsWhole(t *testing.T) {
	t.Parallel()
	keys := []string{
		access.AnnotationDecision, access.AnnotationReason, access.AnnotationCover, access.AnnotationKind, access.AnnotationRequirements, access.AnnotationAudited,
		access.AnnotationUnproven, access.AnnotationDryRun,
	}
	rapid.Check(t, func(t *rapid.T) {
		got := someQuestion(t).decide()
		if got.Allowed != (got.Message == "") {
			t.Fatalf("allowed %t with the message %q", got.Allowed, got.Message)
		}
		if got.Annotations[access.AnnotationReason] != string(got.Reason) || got.Reason == "" || got.Annotations[access.AnnotationDecision] == "" {
			t.Fatalf("an answer without reason or annotation: %+v", got)
		}
		if (got.Annotations[access.AnnotationDecision] == "refused") == got.Allowed {
			t.Fatalf("the audit log gets another answer: %+v", got)
		}
		texts := append([]string{got.Message}, got.Warnings...)
		for key, value := range got.Annotations {
			if !slices.Contains(keys, key) {
				t.Fatalf("the annotation %q is not one of the closed set", key)
			}
			texts = append(texts, value)
		}
		for _, text := range texts {
			if len(text) > 2000 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x1b\x00") {
				t.Fatalf("a text that spoils a terminal, a log or a header: %q", text)
			}
		}
		for _, text := range append(got.Warnings, got.Message) {
			if text != "" && !strings.HasPrefix(text, "labguard: ") {
				t.Fatalf("nobody knows who says %q", text)
			}
		}
	})
}

func someObservation(t *rapid.T) access.Observation {
	seen := access.Observation{
		Rule: someRule(t), Enforced: rapid.Bool().Draw(t, "enforced"), Providers: someSettings(t).Providers, WebhookAnswers: rapid.Bool().Draw(t, "webhook"),
		RightsKnown: rapid.Bool().Draw(t, "rights"), GitTrusted: rapid.Bool().Draw(t, "git"), BreakGlassUses: someOf(t, "uses", []string{"night", "\xff\n"}, 1),
	}
	for _, reason := range someOf(t, "findings", []string{access.VerdictMachineIdentityClaimable, access.VerdictClaimsForgeable, access.VerdictNodesProxy, "SecretsReadable", "New", ""}, 2) {
		seen.Findings = append(seen.Findings, access.Finding{Reason: reason, Who: pick(t, "who", "User eve", "", strings.Repeat("é", 400), "\x1b%s")})
	}
	for _, issuer := range someOf(t, "proofs", someIssuers, 3) {
		seen.Proofs = append(seen.Proofs, access.Proof{Issuer: issuer, At: now.Add(-pick(t, "age of a proof", 0, time.Hour, 24*time.Hour, 23*time.Hour, -time.Hour))})
	}
	return seen
}

func TestPropertyWhatIsUnknownNeverMakesMFAEnforcedTrue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := someObservation(t)
		if rapid.Bool().Draw(t, "nearly good") {
			seen.Enforced, seen.WebhookAnswers, seen.RightsKnown, seen.Findings, seen.BreakGlassUses = true, true, true, nil, nil
		}
		forget := map[string]func(*access.Observation){
			"rights": func(o *access.Observation) { o.RightsKnown = false }, "webhook": func(o *access.Observation) { o.WebhookAnswers = false },
			"proofs": func(o *access.Observation) { o.Proofs = nil }, "providers": func(o *access.Observation) { o.Providers = nil },
			"what a right means": func(o *access.Observation) { o.Findings = append(o.Findings, access.Finding{Reason: "Unheard"}) },
		}
		for what, change := range forget {
			known := seen
			known.Findings = slices.Clone(seen.Findings)
			change(&known)
			if got := access.Judge(known, now); got.Status() == metav1.ConditionTrue {
				t.Fatalf("True although nothing is known of %s: %+v", what, got)
			}
		}
	})
}

func TestPropertyAVerdictIsSoundAndKnowsWhenItChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := someObservation(t)
		if rapid.Bool().Draw(t, "nearly good") {
			seen.Enforced, seen.WebhookAnswers, seen.RightsKnown, seen.Findings, seen.BreakGlassUses = true, true, true, nil, nil
		}
		// A proof of the future counts later, if it is one of a clock that runs ahead.
		seen.Proofs = slices.DeleteFunc(seen.Proofs, func(proof access.Proof) bool { return proof.At.After(now) })
		got := access.Judge(seen, now)
		if got.Reason == "" || got.Message == "" || len(got.Message) >= 300 || !utf8.ValidString(got.Message) || strings.ContainsAny(got.Message, "\n\r\x00\x1b") {
			t.Fatalf("a verdict that no condition should carry: %+v", got)
		}
		if got.Status() != metav1.ConditionTrue {
			return
		}
		if !got.NextChange.After(now) || access.Judge(seen, got.NextChange).Status() == metav1.ConditionTrue {
			t.Fatalf("True, and to change at %s, when it does not", got.NextChange)
		}
		if last := got.NextChange.Add(-1); access.Judge(seen, last).Status() != metav1.ConditionTrue {
			t.Fatalf("it changes before %s", got.NextChange)
		}
	})
}

// The admission policy beside the webhook may ask for no more than this, or there were two decision functions. It cannot ask for amr: a provider may prove
// a context alone.
func TestPropertyWhoIsLetInIsListedOrKnownOrBringsClaims(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someQuestion(t)
		got := q.decide()
		if !got.Allowed || got.Annotations[access.AnnotationDecision] != "allowed" {
			return
		}
		switch got.Reason {
		case access.ReasonBreakGlass, access.ReasonNeverAsked, access.ReasonNotRequired, access.ReasonListedMachine:
		case access.ReasonProven:
			if !q.person.Claims || q.person.Issuer == "" {
				t.Fatalf("%+v is let in without a login", q.person)
			}
		default:
			t.Fatalf("allowed for %q", got.Reason)
		}
	})
}
