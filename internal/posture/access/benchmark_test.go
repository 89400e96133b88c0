// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/internal/posture/access"
)

// crowd are 10,000 training records of 5,000 people.
func crowd() records {
	held := records{}
	for i := range 5_000 {
		held[[2]string{idp, fmt.Sprintf("person-%d", i)}] = []string{"gdpr", phishing}
	}
	held[[2]string{idp, "mia"}] = []string{"gdpr", phishing}
	return held
}

// hospital are 1,000 LabWorkloads with rules of their own, in so many namespaces.
func hospital(namespaces int) *access.Policy {
	s := settings()
	s.Requirements = map[string][]access.Requirement{}
	for i := range 1_000 {
		namespace, name := lab, fmt.Sprintf("workload-%d", i)
		if number := i % namespaces; number > 0 {
			namespace = fmt.Sprintf("namespace-%d", number)
		}
		s.Requirements[namespace] = append(s.Requirements[namespace], access.Requirement{
			Workload: name, Pods: labels.SelectorFromSet(labels.Set{"app": name}), Enforce: true,
			MFA:      &access.Rule{MaxAge: time.Duration(i+12) * time.Hour, Methods: [][]string{{"hwk"}, {"mfa"}, {"otp", "pwd"}}},
			Training: &access.Courses{Names: []string{"gdpr", phishing}, MaxAge: 8760 * time.Hour},
		})
	}
	return access.Arrange(s)
}

// BenchmarkDecide decides about one exec in a cluster with 10,000 training records and 1,000 LabWorkloads: 20 in the namespace, and, as the worst case that
// there can be, all of them.
func BenchmarkDecide(b *testing.B) {
	held := crowd()
	onePod := exec()
	onePod.Pod = labels.Set{"app": "workload-0"}
	for _, namespaces := range []int{50, 1} {
		policy := hospital(namespaces)
		for name, test := range map[string]struct {
			person  access.Person
			request access.Request
			reason  access.Reason
		}{
			"pod=known/allowed":   {person(), onePod, access.ReasonProven},
			"pod=unknown/allowed": {person(), exec(), access.ReasonProven},
			"pod=unknown/refused": {person(loggedIn("pwd"), ago(9000*time.Hour)), exec(), access.ReasonMethodsMissing},
		} {
			b.Run(fmt.Sprintf("labworkloads=%d/%s", 1_000/namespaces, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if got := access.Decide(access.Input{Policy: policy, Person: test.person, Request: test.request, Missing: held.missing, Now: now}); got.Reason != test.reason {
						b.Fatalf("answered %+v", got)
					}
				}
			})
		}
	}
}
