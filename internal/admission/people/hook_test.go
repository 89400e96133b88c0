// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission/people"
	desired "github.com/labguard/labguard/internal/desired/access"
	"github.com/labguard/labguard/internal/metrics"
)

// served is a handler as the manager serves it.
func served(handler webhook.Handler) http.Handler {
	return people.Hook(&webhook.Webhook{Handler: handler, LogConstructor: func(logr.Logger, *webhook.Request) logr.Logger { return logr.Discard() }})
}

func review(t testing.TB, request webhook.Request) string {
	t.Helper()
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &request.AdmissionRequest,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func post(handler http.Handler, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, desired.ValidatePath, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func allowed(t testing.TB, answer *httptest.ResponseRecorder) bool {
	t.Helper()
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || got.Response == nil || got.Response.UID != "1" {
		t.Fatalf("%d %s: %v", answer.Code, answer.Body, err)
	}
	return got.Response.Allowed
}

// panicking breaks whoever asks it or tells it.
type panicking struct{ client.Reader }

func (panicking) List(context.Context, client.ObjectList, ...client.ListOption) error {
	panic("a mistake")
}
func (panicking) Used(string, string, v1alpha1.BreakGlassRequest) { panic("a mistake") }

func TestAnAnswerIsServed(t *testing.T) {
	s := newSite(t, laboratory()...)
	for name, test := range map[string]struct {
		handler webhook.Handler
		asked   webhook.Request
		want    bool
	}{
		"let through":        {s.gate.Validating(), exec(mia()), true},
		"refused":            {s.gate.Validating(), exec(certificate("jane")), false},
		"break glass":        {s.gate.BreakGlass(), exec(certificate("night", emergency)), true},
		"nobody of interest": {s.gate.BreakGlass(), exec(certificate("jane")), true},
	} {
		answer := post(served(test.handler), review(t, test.asked))
		if answer.Code != http.StatusOK || allowed(t, answer) != test.want {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

// TestWhatCannotBeAnsweredFailsTheCall: a refusal in the body would hold under failurePolicy: Ignore as well.
func TestWhatCannotBeAnsweredFailsTheCall(t *testing.T) {
	broken, fine := newSite(t, laboratory()...), newSite(t, laboratory()...)
	broken.broken = errors.New("the cache has not started")
	mistaken := people.New(panicking{}, clocktesting.NewFakePassiveClock(now), people.Config{Uses: panicking{}})
	night := exec(certificate("night", emergency))
	huge := request(mia(), admissionv1.Create, "pods", "huge")
	huge.Object.Raw = []byte(`"` + strings.Repeat("x", 8<<20) + `"`)
	for name, test := range map[string]struct {
		handler webhook.Handler
		body    string
	}{
		"caches that do not work":       {broken.gate.Validating(), review(t, exec(mia()))},
		"a mistake":                     {mistaken.Validating(), review(t, exec(mia()))},
		"a mistake about break glass":   {mistaken.BreakGlass(), review(t, night)},
		"no JSON":                       {fine.gate.Validating(), "{"},
		"a request that is far too big": {fine.gate.Validating(), review(t, huge)},
	} {
		if answer := post(served(test.handler), test.body); answer.Code != http.StatusServiceUnavailable || strings.Contains(answer.Body.String(), "mistake") {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

func TestWithoutHookWhatCannotBeAnsweredIsRefused(t *testing.T) {
	s := newSite(t, laboratory()...)
	s.broken = errors.New("the cache has not started")
	if got := s.ask(t, exec(mia())); got.Allowed || got.Result.Code != http.StatusServiceUnavailable || !strings.Contains(got.Result.Message, "try again in a moment") {
		t.Errorf("%+v", got)
	}
	s.broken = nil
	if got := s.ask(t, exec(mia())); !got.Allowed {
		t.Errorf("the error is kept: %+v", got)
	}
}

// TestUntilAllIsKnownNothingIsProven lets the informers be filled one after the other.
func TestUntilAllIsKnownNothingIsProven(t *testing.T) {
	scheme := newScheme(t)
	informers := &informertest.FakeInformers{Scheme: scheme, InformersByGVK: nil}
	waiting := map[string]*controllertest.FakeInformer{}
	for _, kind := range []client.Object{&v1alpha1.LabWorkload{}, &v1alpha1.IdentityProvider{}, &v1alpha1.TrainingRecord{}} {
		if _, err := informers.FakeInformerFor(t.Context(), kind); err != nil {
			t.Fatal(err)
		}
	}
	for kind := range informers.InformersByGVK {
		waiting[kind.Kind] = controllertest.NewFakeInformer()
		informers.InformersByGVK[kind] = toolscache.SharedIndexInformer(waiting[kind.Kind])
	}
	gate := people.New(fake.NewClientBuilder().WithScheme(scheme).WithObjects(laboratory()...).Build(), clocktesting.NewFakePassiveClock(now), people.Config{})
	if err := gate.Watch(t.Context(), informers); err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		got := gate.Validating().Handle(t.Context(), exec(mia()))
		if reason := got.AuditAnnotations["reason"]; reason != want || got.Allowed != (want == "Proven") {
			t.Errorf("allowed %t for %q, want %q", got.Allowed, reason, want)
		}
	}
	expect("")
	waiting["LabWorkload"].Synced()
	expect("")
	waiting["IdentityProvider"].Synced()
	expect("TrainingUnknown")
	waiting["TrainingRecord"].Add(trainingRecord("mia", "mia", now.Add(-time.Hour)))
	expect("TrainingUnknown")
	waiting["TrainingRecord"].Synced()
	expect("Proven")
}

func TestInformersThatCannotBeHadAreAnError(t *testing.T) {
	gate := people.New(fake.NewClientBuilder().WithScheme(newScheme(t)).Build(), clocktesting.NewFakePassiveClock(now), people.Config{})
	cause := errors.New("no such kind")
	if err := gate.Watch(t.Context(), &informertest.FakeInformers{Scheme: newScheme(t), Error: cause}); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestAnswersAreCounted(t *testing.T) {
	s := newSite(t, laboratory()...)
	for name, test := range map[string]struct {
		asked            webhook.Request
		decision, reason string
		broken           error
	}{
		"let through": {exec(mia()), "allowed", "Proven", nil},
		"refused":     {exec(certificate("jane")), "refused", "NoClaims", nil},
		"failed":      {exec(mia()), "failed", "NotConfigured", errors.New("the cache has not started")},
	} {
		counter := metrics.AccessDecisions.WithLabelValues(test.decision, test.reason)
		before := testutil.ToFloat64(counter)
		s.broken = test.broken
		if test.broken != nil {
			s.tell(workload())
		}
		s.ask(t, test.asked)
		if got := testutil.ToFloat64(counter) - before; got != 1 {
			t.Errorf("%s: counted %v times", name, got)
		}
	}
}
