// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission/people"
)

func TestBreakGlassIsNotedAndNeverRefused(t *testing.T) {
	night := certificate("night", emergency)
	for name, test := range map[string]struct {
		asked webhook.Request
		want  []use
	}{
		"exec": {exec(night), []use{{lab, "night", v1alpha1.BreakGlassRequest{Operation: "CONNECT", Resource: "pods/exec", Name: "lis-0"}}}},
		"a pod that has no name yet": {
			request(night, admissionv1.Create, "pods", ""), []use{{lab, "night", v1alpha1.BreakGlassRequest{Operation: "CREATE", Resource: "pods"}}},
		},
		"with a login as well": {
			request(mia(member(emergency)), admissionv1.Delete, "labworkloads", "lis"),
			[]use{{lab, "oidc:mia", v1alpha1.BreakGlassRequest{Operation: "DELETE", Resource: "labworkloads", Name: "lis"}}},
		},
		"a request of no sort": {
			request(night, admissionv1.Update, "deployments/scale", "lis"), []use{{lab, "night", v1alpha1.BreakGlassRequest{Operation: "UPDATE", Resource: "deployments/scale", Name: "lis"}}},
		},
		"a dry run, which goes around nothing": {dry(request(night, admissionv1.Delete, "pods", "lis-0")), nil},
		"somebody else":                        {exec(certificate("jane")), nil},
		"a request of nothing":                 {webhook.Request{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, laboratory()...)
			s.broken = errors.New("no cache works")
			got := s.gate.BreakGlass().Handle(t.Context(), test.asked)
			for i := range test.want {
				test.want[i].request.At = metav1.NewTime(now)
			}
			if diff := cmp.Diff(test.want, s.seen.uses, cmp.AllowUnexported(use{})); diff != "" || !got.Allowed {
				t.Errorf("allowed %t (-want +got):\n%s", got.Allowed, diff)
			}
			if test.want != nil && got.AuditAnnotations["reason"] != "BreakGlass" {
				t.Errorf("annotations %v", got.AuditAnnotations)
			}
		})
	}
}

// TestWhatNobodyAsksAboutIsNotNoted: the API server sends none of that, and somebody else who reaches the port fills no namespace with records.
func TestWhatNobodyAsksAboutIsNotNoted(t *testing.T) {
	s := newSite(t, laboratory()...)
	night := certificate("night", emergency)
	elsewhere, provider := exec(night), withoutNamespace(request(night, admissionv1.Update, "identityproviders", "idp"))
	elsewhere.Namespace = "kitchen"
	token := request(night, admissionv1.Create, "serviceaccounts/token", "kustomize")
	token.Namespace = "flux-system"
	for _, asked := range []webhook.Request{elsewhere, exec(night), provider, token} {
		if got := s.gate.BreakGlass().Handle(t.Context(), asked); !got.Allowed {
			t.Errorf("%s is refused", asked.Namespace)
		}
	}
	var noted []string
	for _, use := range s.seen.uses {
		noted = append(noted, use.namespace+" "+use.request.Resource)
	}
	if diff := cmp.Diff([]string{lab + " pods/exec", " identityproviders", "flux-system serviceaccounts/token"}, noted); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestBreakGlassAtTheDoorForAll: where the match conditions are those of another configuration, members come in by the same door as everybody.
func TestBreakGlassAtTheDoorForAll(t *testing.T) {
	for name, broken := range map[string]error{"with a policy": nil, "without": errors.New("no cache works")} {
		s := newSite(t, laboratory()...)
		s.broken = broken
		if got := s.ask(t, exec(certificate("night", emergency))); !got.Allowed || got.AuditAnnotations["reason"] != "BreakGlass" || len(s.seen.uses) != 1 {
			t.Errorf("%s: %v, uses %v", name, got.AuditAnnotations, s.seen.uses)
		}
		if got := s.ask(t, exec(certificate("system:node:n1", "system:nodes"))); !got.Allowed || got.AuditAnnotations["reason"] != "NeverAsked" {
			t.Errorf("%s: a node gets %v", name, got.AuditAnnotations)
		}
	}
}

func TestTheGroupOfTheEmergencyIsTheOneOfTheConfiguration(t *testing.T) {
	told := &seen{}
	gate := people.New(fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(workload()).Build(), clocktesting.NewFakePassiveClock(now),
		people.Config{BreakGlassGroup: "site:night-shift", Uses: told})
	for group, uses := range map[string]int{emergency: 0, "site:night-shift": 2} {
		told.uses = nil
		gate.BreakGlass().Handle(t.Context(), exec(certificate("night", group)))
		if got := gate.Validating().Handle(t.Context(), exec(certificate("night", group))); got.Allowed != (uses > 0) || len(told.uses) != uses {
			t.Errorf("%s: allowed %t, %d uses", group, got.Allowed, len(told.uses))
		}
	}
}

func TestWhatIsNotedFitsIntoTheObject(t *testing.T) {
	s := newSite(t, laboratory()...)
	long := strings.Repeat("\u00e4", 2000)
	asked := request(certificate(long, emergency), admissionv1.Operation(long), "x/"+long, long)
	s.gate.BreakGlass().Handle(t.Context(), asked)
	odd := request(certificate("", emergency), "", "", "\xff")
	s.gate.BreakGlass().Handle(t.Context(), odd)
	if len(s.seen.uses) != 2 {
		t.Fatalf("%d uses", len(s.seen.uses))
	}
	for _, got := range s.seen.uses {
		for what, test := range map[string]struct {
			text string
			most int
		}{"user": {got.user, 1024}, "operation": {got.request.Operation, 16}, "resource": {got.request.Resource, 128}, "name": {got.request.Name, 253}} {
			if test.text == "" || len(test.text) > test.most || !utf8.ValidString(test.text) {
				t.Errorf("the %s has %d bytes: %q", what, len(test.text), test.text)
			}
		}
	}
}

func TestNobodyHasToBeTold(t *testing.T) {
	gate := people.New(fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(workload(), identityProvider()).Build(),
		clocktesting.NewFakePassiveClock(now), people.Config{})
	for _, who := range []user{mia(), certificate("night", emergency)} {
		gate.Validating().Handle(t.Context(), exec(who))
		if got := gate.BreakGlass().Handle(t.Context(), exec(who)); !got.Allowed {
			t.Errorf("%s is refused", who.Username)
		}
	}
}
