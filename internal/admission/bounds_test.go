// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// silent is a registry that never answers.
type silent struct{ asked chan posture.ImageQuery }

func (s silent) Current(posture.ImageQuery) (posture.ImageFacts, bool) {
	return posture.ImageFacts{Unknown: v1alpha1.ReasonNotResolved, Detail: "the registry has been asked and has not answered yet"}, false
}

func (s silent) Resolve(ctx context.Context, query posture.ImageQuery) posture.ImageFacts {
	s.asked <- query
	<-ctx.Done()
	facts, _ := s.Current(query)
	return facts
}

func eightImages() []string {
	var references []string
	for i := range 8 {
		references = append(references, fmt.Sprintf("registry.lab.example/lis:%d", i))
	}
	return references
}

func TestARequestWaitsOnceForAllItsImages(t *testing.T) {
	for policy, governing := range map[string]*v1alpha1.LabWorkload{"Deny": workload("lis"), "Warn": workload("lis", warnOnly)} {
		t.Run(policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				facts := silent{asked: make(chan posture.ImageQuery, 100)}
				gate := gateWith(facts, governing)
				start := time.Now()
				mutated := gate.Mutating().Handle(t.Context(), create(t, "Deployment", deployment(eightImages()...)))
				if waited := time.Since(start); waited != gate.Wait {
					t.Errorf("waited %s, want %s in all", waited, gate.Wait)
				}
				if len(facts.asked) != 8 {
					t.Errorf("%d questions", len(facts.asked))
				}
				if !mutated.Allowed || (len(mutated.Patches) > 0) != (policy == "Warn") {
					t.Errorf("%+v", mutated)
				}
				start = time.Now()
				write := create(t, "Deployment", deployment(eightImages()...))
				write.Object.Raw = patched(t, write.Object.Raw, mutated)
				validated := gate.Validating().Handle(t.Context(), write)
				if waited := time.Since(start); waited != 0 {
					t.Errorf("the validating webhook waited %s", waited)
				}
				if validated.Allowed != (policy == "Warn") {
					t.Errorf("%+v", validated)
				}
			})
		})
	}
}

// moved is a tag that meant something a while ago and means something else by now.
type moved struct{ meant, means posture.ImageFacts }

func (m moved) Current(posture.ImageQuery) (posture.ImageFacts, bool) { return m.meant, false }

func (m moved) Resolve(context.Context, posture.ImageQuery) posture.ImageFacts { return m.means }

func TestATagIsJudgedByWhatItMeansNow(t *testing.T) {
	young, old := made(24*time.Hour), made(200*24*time.Hour)
	for name, test := range map[string]struct {
		facts   moved
		allowed bool
	}{
		"a fresh build was pushed under it":       {moved{meant: old, means: young}, true},
		"an old build was pushed under it":        {moved{meant: young, means: old}, false},
		"nobody answers, and what it meant stays": {moved{meant: young, means: young}, true},
	} {
		t.Run(name, func(t *testing.T) {
			gate := gateWith(test.facts, workload("lis"))
			write := create(t, "Deployment", deployment("registry.lab.example/lis:1"))
			mutated := gate.Mutating().Handle(t.Context(), write)
			if admitted := len(mutated.Patches) > 0; admitted != test.allowed {
				t.Fatalf("admitted: %t", admitted)
			}
			if test.allowed {
				write.Object.Raw = patched(t, write.Object.Raw, mutated)
			}
			if got := gate.Validating().Handle(t.Context(), write); got.Allowed != test.allowed {
				t.Errorf("%+v", got.Result)
			}
		})
	}
}

func TestARequestThatIsGivenUpWaitsNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		facts := silent{asked: make(chan posture.ImageQuery, 100)}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		gateWith(facts, workload("lis")).Mutating().Handle(ctx, create(t, "Deployment", deployment(eightImages()...)))
		if waited := time.Since(start); waited != 300*time.Millisecond {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestTheRequestBeyondThoseThatMayWaitIsAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const may = 256
		facts := silent{asked: make(chan posture.ImageQuery, 2*may)}
		gate := gateWith(facts, workload("lis", warnOnly))
		before := counts(t, metrics.AdmissionWaits)
		ask := func(image string) (admitted bool, waited time.Duration) {
			start := time.Now()
			answer := gate.Mutating().Handle(t.Context(), create(t, "Deployment", deployment(image)))
			return len(answer.Patches) > 0, time.Since(start)
		}
		var waiting sync.WaitGroup
		for i := range may {
			waiting.Go(func() {
				if _, waited := ask(fmt.Sprintf("registry.lab.example/lis:%d", i)); waited != gate.Wait {
					t.Errorf("request %d waited %s, want %s", i, waited, gate.Wait)
				}
			})
		}
		synctest.Wait()
		if admitted, waited := ask("registry.lab.example/lis:more"); waited != 0 || !admitted {
			t.Errorf("one more waited %s, and was let in as of unknown age: %t", waited, admitted)
		}
		if len(facts.asked) != may {
			t.Errorf("%d questions wait, want %d", len(facts.asked), may)
		}
		waiting.Wait()
		if _, waited := ask("registry.lab.example/lis:later"); waited != gate.Wait {
			t.Errorf("when nobody waits any more, a request waited %s", waited)
		}
		after := counts(t, metrics.AdmissionWaits)
		for result, want := range map[string]float64{"expired": may + 1, "full": 1, "answered": 0} {
			if got := after[result] - before[result]; got != want {
				t.Errorf("%s counted %v times, want %v", result, got, want)
			}
		}
	})
}

func TestOnlyWhatIsNewIsAskedFor(t *testing.T) {
	facts := newImages()
	object := deployment(freshImage, freshImage, oldImage, staleImage)
	object.Spec.Template.Spec.ServiceAccountName = "robot"
	object.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelArchStable: "arm64"}
	object.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
	gate := gateWith(facts, workload("lis"), record("deployment-lis", "Fresh", staleImage))
	gate.Mutating().Handle(t.Context(), update(t, "Deployment", deployment(oldImage), object))
	want := []posture.ImageQuery{{
		Reference: freshImage, Namespace: namespace, ServiceAccount: "robot", PullSecrets: []string{"pull"},
		Platform: posture.Platform{OS: "linux", Architecture: "arm64"},
	}}
	if diff := cmp.Diff(want, facts.queries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnlyLabguardsOwnDryRunIsACanary(t *testing.T) {
	mark := func(value string) client.Object {
		object := deployment(staleImage)
		object.Annotations = map[string]string{v1alpha1.HoldAnnotation: value}
		return object
	}
	dryRun := func(request *webhook.Request) { request.DryRun = new(true) }
	own := func(request *webhook.Request) { request.UserInfo.Username = labguard }
	tests := map[string]struct {
		object  client.Object
		changes []func(*webhook.Request)
		answer  bool
	}{
		"labguard's dry run with a nonce":               {mark(posture.CanaryMark("n-1")), []func(*webhook.Request){dryRun, own}, true},
		"a write of labguard that is no dry run":        {mark(posture.CanaryMark("n-1")), []func(*webhook.Request){own}, false},
		"labguard's request that does not say":          {mark(posture.CanaryMark("n-1")), []func(*webhook.Request){own, func(r *webhook.Request) { r.DryRun = nil }}, false},
		"a dry run of somebody else":                    {mark(posture.CanaryMark("n-1")), []func(*webhook.Request){dryRun}, false},
		"a dry run of labguard's namesake":              {mark(posture.CanaryMark("n-1")), []func(*webhook.Request){dryRun, func(r *webhook.Request) { r.UserInfo.Username = labguard + "x" }}, false},
		"labguard's dry run with another mark":          {mark("another"), []func(*webhook.Request){dryRun, own}, false},
		"labguard's dry run with a nonce that is empty": {mark(posture.CanaryMark("")), []func(*webhook.Request){dryRun, own}, false},
		"labguard's dry run without a mark":             {deployment(staleImage), []func(*webhook.Request){dryRun, own}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, governing := range [][]client.Object{{workload("lis")}, nil} {
				gate := gateWith(newImages(), governing...)
				write := update(t, "Deployment", deployment(oldImage), test.object)
				for _, change := range test.changes {
					change(&write)
				}
				mutated, validated := gate.Mutating().Handle(t.Context(), write), gate.Validating().Handle(t.Context(), write)
				warned := slices.Contains(mutated.Warnings, posture.CanaryText("n-1"))
				refused := !validated.Allowed && validated.Result.Message == posture.CanaryText("n-1")
				if warned != test.answer || refused != test.answer || !mutated.Allowed || len(mutated.Patches) > 0 {
					t.Errorf("warned %t, refused %t, want %t", warned, refused, test.answer)
				}
				if judged := len(governing) > 0; !test.answer && validated.Allowed == judged {
					t.Errorf("allowed %t, and governed %t", validated.Allowed, len(governing) > 0)
				}
			}
		})
	}
}

func TestWhatCannotBeReadIsNeverLetIn(t *testing.T) {
	broken := func(kind string) *admission.Gate {
		gate := gateWith(newImages(), workload("lis"))
		inner, ok := gate.Reader.(client.WithWatch)
		if !ok {
			t.Fatal("the fake client cannot watch")
		}
		gate.Reader = interceptor.NewClient(inner, interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				if strings.HasSuffix(fmt.Sprintf("%T", list), kind) {
					return errors.New("the cache has not started")
				}
				return c.List(ctx, list, options...)
			},
		})
		return gate
	}
	garbage := func(change func(*webhook.Request)) webhook.Request {
		write := update(t, "Deployment", deployment(oldImage), deployment(freshImage))
		change(&write)
		return write
	}
	sound := gateWith(newImages(), workload("lis"))
	tests := map[string]struct {
		gate    *admission.Gate
		request webhook.Request
	}{
		"an object that is no JSON":     {sound, garbage(func(r *webhook.Request) { r.Object.Raw = []byte("{") })},
		"no object":                     {sound, garbage(func(r *webhook.Request) { r.Object.Raw = nil })},
		"a template of another type":    {sound, garbage(func(r *webhook.Request) { r.Object.Raw = []byte(`{"spec":{"template":{"spec":{"containers":"x"}}}}`) })},
		"an old object that is no JSON": {sound, garbage(func(r *webhook.Request) { r.OldObject.Raw = []byte("[]") })},
		"debug containers that are words": {sound, garbage(func(r *webhook.Request) {
			r.Kind.Kind, r.SubResource, r.Object.Raw = "Pod", "ephemeralcontainers", []byte(`{"spec":{"ephemeralContainers":"x"}}`)
		})},
		"LabWorkloads that are not there": {broken("LabWorkloadList"), garbage(func(*webhook.Request) {})},
		"records that are not there":      {broken("RolloutRecordList"), garbage(func(*webhook.Request) {})},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for handler, response := range map[string]webhook.Response{
				"mutating": test.gate.Mutating().Handle(t.Context(), test.request), "validating": test.gate.Validating().Handle(t.Context(), test.request),
			} {
				if response.Allowed || response.Result == nil || response.Result.Code != http.StatusInternalServerError || response.Result.Message == "" {
					t.Errorf("%s: %+v", handler, response)
				}
			}
		})
	}
}

func TestDecisionsAreCounted(t *testing.T) {
	gate := gateWith(newImages(), workload("lis"), warnsAbout("other"))
	warned := deployment(staleImage)
	warned.Spec.Template.Labels = map[string]string{"app": "other"}
	before := counts(t, metrics.AdmissionDecisions)
	send(t, gate, create(t, "Deployment", deployment(freshImage)))
	send(t, gate, create(t, "Deployment", deployment(staleImage)))
	send(t, gate, create(t, "Deployment", deployment(unknownImage)))
	send(t, gate, create(t, "Deployment", warned))
	canary := create(t, "Deployment", deployment(freshImage))
	canary.UserInfo.Username, canary.DryRun = labguard, new(true)
	canary.Object.Raw = []byte(`{"metadata":{"annotations":{"` + v1alpha1.HoldAnnotation + `":"` + posture.CanaryMark("n-1") + `"}}}`)
	send(t, gate, canary)
	after := counts(t, metrics.AdmissionDecisions)
	for decision, want := range map[string]float64{"allowed": 1, "denied": 2, "warned": 1} {
		if got := after[decision] - before[decision]; got != want {
			t.Errorf("%s counted %v times, want %v", decision, got, want)
		}
	}
}

func warnsAbout(app string) client.Object {
	governing := workload(app, warnOnly)
	governing.Spec.Selector.MatchLabels = map[string]string{"app": app}
	return governing
}

// counts are what a counter with one label says.
func counts(t *testing.T, counter prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(counter)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			found[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
		}
	}
	return found
}

// cached reads lists as a cache that nobody copies from.
type cached struct {
	client.Reader
	workloads []v1alpha1.LabWorkload
	records   []v1alpha1.RolloutRecord
}

func (c cached) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch l := list.(type) {
	case *v1alpha1.LabWorkloadList:
		l.Items = c.workloads
	case *v1alpha1.RolloutRecordList:
		l.Items = c.records
	}
	return nil
}

// BenchmarkGate answers both webhooks about digests that are known, in a namespace with as many records as LabWorkloads.
func BenchmarkGate(b *testing.B) {
	for _, containers := range []int{1, 8} {
		for _, workloads := range []int{1, 200} {
			b.Run(fmt.Sprintf("containers=%d/labworkloads=%d", containers, workloads), func(b *testing.B) {
				facts, cache := newImages(), cached{Reader: fake.NewClientBuilder().Build()}
				for i := range workloads {
					one := workload(fmt.Sprintf("lis-%d", i))
					one.Spec.Selector.MatchLabels = map[string]string{"app": fmt.Sprintf("other-%d", i)}
					if i == 0 {
						one = workload("lis")
					}
					cache.workloads = append(cache.workloads, *one)
					cache.records = append(cache.records, *record(fmt.Sprintf("deployment-%d", i), "Fresh", eightImages()...))
				}
				var references []string
				for i := range containers {
					references = append(references, fmt.Sprintf("registry.lab.example/app-%d@%s", i, digest))
					facts.facts[references[i]] = made(time.Hour)
				}
				gate := gateWith(facts)
				gate.Reader = cache
				write := create(b, "Deployment", deployment(references...))
				for b.Loop() {
					mutated := gate.Mutating().Handle(b.Context(), write)
					if !mutated.Allowed || len(mutated.Patches) == 0 {
						b.Fatalf("%+v", mutated)
					}
					if validated := gate.Validating().Handle(b.Context(), write); validated.Allowed {
						b.Fatalf("an object without annotations is let in: %+v", validated)
					}
				}
				facts.queries = nil
			})
		}
	}
}
