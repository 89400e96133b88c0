// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
)

func inNamespace(request webhook.Request, namespace string) webhook.Request {
	request.Namespace = namespace
	return request
}

func (s *site) expect(t *testing.T, asked webhook.Request, reason string) {
	t.Helper()
	if got := s.ask(t, asked).AuditAnnotations["reason"]; got != reason {
		t.Errorf("the answer is %s, want %s", got, reason)
	}
}

// reads are how often all LabWorkloads of the namespace were read, and how often one of them, and the same of another namespace.
type reads struct{ all, one, allElsewhere, oneElsewhere int }

// TestWhatHasChangedIsReadOnce asks in two namespaces and counts what of each is read.
func TestWhatHasChangedIsReadOnce(t *testing.T) {
	for name, test := range map[string]struct {
		happen func(*testing.T, *site)
		want   reads
	}{
		"nothing":                      {func(*testing.T, *site) {}, reads{}},
		"a LabWorkload comes":          {func(_ *testing.T, s *site) { s.tell(workload()) }, reads{one: 1}},
		"a LabWorkload changes":        {func(t *testing.T, s *site) { s.put(t, workload(func(w *v1alpha1.LabWorkload) { w.Generation++ })) }, reads{one: 1}},
		"the status of a LabWorkload":  {func(t *testing.T, s *site) { s.put(t, workload()) }, reads{}},
		"another one of the same name": {func(t *testing.T, s *site) { s.put(t, workload(func(w *v1alpha1.LabWorkload) { w.UID = "other" })) }, reads{one: 1}},
		"a LabWorkload goes":           {func(_ *testing.T, s *site) { s.gone(workload()) }, reads{one: 1}},
		"a LabWorkload elsewhere": {func(_ *testing.T, s *site) {
			s.tell(workload(func(w *v1alpha1.LabWorkload) { w.Namespace = "chemistry" }))
		}, reads{oneElsewhere: 1}},
		"an IdentityProvider comes": {func(_ *testing.T, s *site) { s.tell(identityProvider()) }, reads{all: 1, allElsewhere: 1}},
		"an IdentityProvider changes": {func(t *testing.T, s *site) {
			s.put(t, identityProvider(func(p *v1alpha1.IdentityProvider) { p.Generation++ }))
		}, reads{all: 1, allElsewhere: 1}},
		"claims are seen":                {func(t *testing.T, s *site) { s.put(t, identityProvider()) }, reads{}},
		"an IdentityProvider goes":       {func(_ *testing.T, s *site) { s.gone(identityProvider()) }, reads{all: 1, allElsewhere: 1}},
		"a training record":              {func(_ *testing.T, s *site) { s.tell(trainingRecord("eve", "eve", now)) }, reads{}},
		"a deletion that was missed":     {func(_ *testing.T, s *site) { s.missed(&v1alpha1.LabWorkload{}, lab+"/lis") }, reads{one: 1}},
		"the same of a cluster's object": {func(_ *testing.T, s *site) { s.missed(&v1alpha1.IdentityProvider{}, "idp") }, reads{all: 1, allElsewhere: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, laboratory()...)
			ask := func() (so reads) {
				for range 3 {
					s.ask(t, exec(mia()))
					s.ask(t, inNamespace(exec(mia()), "chemistry"))
				}
				so.all, so.one = s.counted(lab)
				so.allElsewhere, so.oneElsewhere = s.counted("chemistry")
				return so
			}
			if before := ask(); before != (reads{all: 1, allElsewhere: 1}) {
				t.Errorf("read %+v before anything has changed", before)
			}
			test.happen(t, s)
			want := test.want
			want.all, want.allElsewhere = want.all+1, want.allElsewhere+1
			if after := ask(); after != want {
				t.Errorf("read %+v, want %+v", after, want)
			}
		})
	}
}

func TestAChangeIsInForceWithTheNextRequest(t *testing.T) {
	s := newSite(t, laboratory()...)
	pwd := exec(mia(claim("amr", "pwd")))
	s.expect(t, pwd, "MethodsMissing")
	s.put(t, workload(func(w *v1alpha1.LabWorkload) { w.Generation, w.Spec.MFA.Methods = 2, sets("pwd") }))
	s.expect(t, pwd, "Proven")
	s.put(t, identityProvider(func(p *v1alpha1.IdentityProvider) {
		p.Generation, p.Spec.Proves = 2, []v1alpha1.ProvenClaim{v1alpha1.ProvesAuthTime}
	}))
	s.expect(t, pwd, "ProviderCannotProve")
}

func TestWhatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	s := newSite(t, laboratory()...)
	pwd := exec(mia(claim("amr", "pwd")))
	s.meanwhile = func() {
		s.put(t, workload(func(w *v1alpha1.LabWorkload) { w.Generation, w.Spec.MFA.Methods = 2, sets("pwd") }))
	}
	s.expect(t, pwd, "MethodsMissing")
	s.expect(t, pwd, "Proven")
}

func TestAfterTheLastChangeEveryRequestSeesIt(t *testing.T) {
	s := newSite(t, laboratory()...)
	who := exec(mia())
	var asking sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					s.gate.Validating().Handle(t.Context(), who)
				}
			}
		})
	}
	for i := range 50 {
		method, want := "mfa", "Proven"
		if i%2 == 1 {
			method, want = "hwk", "MethodsMissing"
		}
		s.put(t, workload(func(w *v1alpha1.LabWorkload) { w.Generation, w.Spec.MFA.Methods = int64(i+2), sets(method) }))
		s.expect(t, who, want)
	}
	close(done)
	asking.Wait()
}

func TestNamespacesWithoutLabWorkloadsAskForNothing(t *testing.T) {
	s := newSite(t, laboratory()...)
	for i := range 2100 { // more than are kept
		namespace := fmt.Sprintf("namespace-%d", i)
		s.expect(t, inNamespace(request(certificate("jane"), admissionv1.Create, "pods", ""), namespace), "NotRequired")
	}
	s.expect(t, exec(certificate("jane")), "NoClaims")
}

// TestTrainingCountsFromTheMomentItIsRecorded goes through what happens to records.
func TestTrainingCountsFromTheMomentItIsRecorded(t *testing.T) {
	s := newSite(t, laboratory()...)
	eve, missing := exec(mia(claim("subject", "eve"))), "TrainingMissing"
	s.expect(t, eve, missing)
	s.tell(trainingRecord("4711", "eve", now.Add(-2*lifetime)))
	s.expect(t, eve, "Proven")
	moved := trainingRecord("4711", "eve", now.Add(-2*lifetime))
	moved.Spec.Expires = new(metav1.NewTime(now.Add(-lifetime)))
	s.tell(moved) // as an informer that starts anew does
	s.expect(t, eve, missing)
	s.tell(trainingRecord("4712", "eve", now.Add(-lifetime)))
	s.expect(t, eve, "Proven")
	s.tell(trainingRecord("4712", "adam", now.Add(-lifetime)))
	s.expect(t, eve, missing)
	s.expect(t, exec(mia(claim("subject", "adam"))), "Proven")
	s.gone(trainingRecord("4712", "adam", now))
	s.expect(t, exec(mia(claim("subject", "adam"))), missing)
	s.missed(&v1alpha1.TrainingRecord{}, "mia")
	s.expect(t, exec(mia()), missing)
	s.gone(trainingRecord("never-seen", "nobody", now))
	s.expect(t, exec(mia()), missing)
}

const lifetime = 24 * time.Hour

// TestAnImportCostsNobodyAnything writes 10,000 records, and asks after each: only whoever asks has anything indexed.
func TestAnImportCostsNobodyAnything(t *testing.T) {
	s := newSite(t, laboratory()...)
	allocated := testing.AllocsPerRun(1, func() {
		for i := range 10_000 {
			s.tell(trainingRecord(fmt.Sprintf("import-%d", i), fmt.Sprintf("person-%d", i/2), now.Add(-lifetime)))
		}
	})
	if allocated > 40*10_000 {
		t.Errorf("%v allocations for 10,000 records", allocated)
	}
	s.expect(t, exec(mia(claim("subject", "person-4999"))), "Proven")
	s.expect(t, exec(mia(claim("subject", "person-5000"))), "TrainingMissing")
}
