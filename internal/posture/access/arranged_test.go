// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/internal/posture/access"
)

// someCrowd is a question about many LabWorkloads, of which several ask for the same, and some twice, and which mostly comes as far as its proofs.
func someCrowd(t *rapid.T) question {
	q := someQuestion(t)
	rules := rapid.SliceOfN(rapid.Custom(someRequirement), 1, 5).Draw(t, "rules")
	crowd := make([]access.Requirement, rapid.IntRange(0, 30).Draw(t, "how many"))
	for i := range crowd {
		crowd[i] = rapid.SampledFrom(rules).Draw(t, "rule")
		crowd[i].Workload = fmt.Sprintf("w%d", rapid.IntRange(0, 20).Draw(t, "name"))
		if rule := crowd[i].MFA; rule != nil {
			other := *rule
			other.MaxAge = pick(t, "maxAge", ages...)
			crowd[i].MFA = &other
		}
		crowd[i].Enforce = rapid.Bool().Draw(t, "enforce")
	}
	if rapid.IntRange(0, 3).Draw(t, "a person") > 0 {
		q.person.Kind, q.person.Problems, q.person.Groups = access.KindPerson, nil, nil
		q.person.Claims, q.person.Issuer, q.person.Subject = true, pick(t, "issuer", idp, entra, google), pick(t, "subject", "mia", "")
		q.request.Namespace, q.request.Cover = lab, pick(t, "cover", access.Access, access.Change)
	}
	return q.with(crowd)
}

// differs says how the answer of Decide differs from the plain one, which knows nothing of what was arranged.
func (q question) differs(policy *access.Policy) string {
	input := access.Input{Policy: policy, Person: q.person, Request: q.request, Missing: q.records.missing, Now: q.now}
	return cmp.Diff(access.DecidePlainly(q.settings, input), access.Decide(input))
}

func TestPropertyWhatIsDecidedOnceIsDecidedAsForEach(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someCrowd(t)
		if diff := q.differs(access.Arrange(q.settings)); diff != "" {
			t.Fatalf("another answer (-plain +quick):\n%s", diff)
		}
	})
}

func TestPropertyAPolicyThatIsChangedIsOneThatIsArranged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := someCrowd(t)
		wanted := map[string][]access.Requirement{}
		for _, each := range q.settings.Requirements[lab] {
			wanted[each.Workload] = append(wanted[each.Workload], each)
		}
		start := q.with(someRequirements(t))
		first := access.Arrange(start.settings)
		policy := first
		for _, each := range start.settings.Requirements[lab] {
			policy = policy.With(lab, map[string][]access.Requirement{each.Workload: nil}) // gone
		}
		for workload, asks := range wanted {
			passing := map[string][]access.Requirement{workload: someRequirements(t)}
			policy = policy.With(lab, passing).With(lab, map[string][]access.Requirement{workload: asks})
		}
		if diff := q.differs(policy); diff != "" {
			t.Fatalf("another answer after changes (-plain +changed):\n%s", diff)
		}
		if diff := start.differs(first); diff != "" {
			t.Fatalf("the policy before the changes has changed (-plain +quick):\n%s", diff)
		}
	})
}
