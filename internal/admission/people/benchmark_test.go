// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission/people"
)

// hospital is a cluster of some size: 1,000 LabWorkloads in so many namespaces, 10,000 training records of 5,000 people and 2,000 pods.
type hospital struct {
	workloads v1alpha1.LabWorkloadList
	providers v1alpha1.IdentityProviderList
	records   v1alpha1.TrainingRecordList
	pods      corev1.PodList
}

func newHospital(namespaces int) *hospital {
	h := &hospital{}
	namespace := func(i int) string {
		if number := i % namespaces; number > 0 {
			return fmt.Sprintf("namespace-%d", number)
		}
		return lab
	}
	for i := range 1_000 {
		h.workloads.Items = append(h.workloads.Items, *workload(func(w *v1alpha1.LabWorkload) {
			w.Namespace, w.Name, w.Spec.Selector.MatchLabels = namespace(i), fmt.Sprintf("workload-%d", i), map[string]string{"app": fmt.Sprintf("app-%d", i)}
			w.Spec.MFA.MaxAge, w.Spec.MFA.Methods = v1alpha1.LoginAge(fmt.Sprintf("%dm", 720+i)), sets("hwk", "mfa", "pwd otp")
			w.Spec.Training.Courses, w.Spec.Training.MaxAge = []v1alpha1.Course{"gdpr", phishing}, "8760h"
		}))
	}
	for i := range 10_000 {
		record := trainingRecord(fmt.Sprintf("record-%d", i), fmt.Sprintf("person-%d", i/2), now.Add(-lifetime))
		if i%2 == 1 {
			record.Spec.Course = "gdpr"
		}
		h.records.Items = append(h.records.Items, *record)
	}
	for i := range 2_000 {
		one := pod(fmt.Sprintf("pod-%d", i), fmt.Sprintf("app-%d", i%1_000))
		one.Namespace = namespace(i % 1_000)
		h.pods.Items = append(h.pods.Items, *one)
	}
	h.providers.Items = []v1alpha1.IdentityProvider{*identityProvider(), *entraProvider()}
	return h
}

// serve gives the client of a manager: one that reads from informers, which are filled once; and a gate over it.
func (h *hospital) serve(b *testing.B) (client.Reader, *people.Gate) {
	b.Helper()
	scheme := newScheme(b)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind("LabWorkload"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	for _, kind := range []string{"IdentityProvider", "TrainingRecord"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	nowhere := &rest.Config{Host: "https://no-api-server.invalid"}
	filled, err := cache.New(nowhere, cache.Options{
		Scheme: scheme, Mapper: mapper,
		NewInformer: func(_ toolscache.ListerWatcher, kind runtime.Object, resync time.Duration, by toolscache.Indexers) toolscache.SharedIndexInformer {
			return toolscache.NewSharedIndexInformer(unchanging{h.list(kind)}, kind, resync, by)
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	go func() { _ = filled.Start(ctx) }()
	reader, err := client.New(nowhere, client.Options{Scheme: scheme, Mapper: mapper, Cache: &client.CacheOptions{Reader: filled}})
	if err != nil {
		b.Fatal(err)
	}
	gate := people.New(reader, clocktesting.NewFakePassiveClock(now), people.Config{User: labguard})
	if err := gate.Watch(ctx, filled); err != nil {
		b.Fatal(err)
	}
	if _, err := filled.GetInformer(ctx, &corev1.Pod{}); err != nil || !filled.WaitForCacheSync(ctx) {
		b.Fatalf("fill the cache: %v", err)
	}
	// Handlers are told of what was listed a moment after the stores have it.
	for gate.Validating().Handle(ctx, request(trained(), admissionv1.Connect, "pods/exec", "pod-0")).AuditAnnotations["reason"] != "Proven" {
		if ctx.Err() != nil {
			b.Fatal("the records were never known")
		}
	}
	return reader, gate
}

func (h *hospital) list(kind runtime.Object) client.ObjectList {
	switch kind.(type) {
	case *v1alpha1.LabWorkload:
		return &h.workloads
	case *v1alpha1.IdentityProvider:
		return &h.providers
	case *v1alpha1.TrainingRecord:
		return &h.records
	default:
		return &h.pods
	}
}

// unchanging is an API server where nothing happens.
type unchanging struct{ list client.ObjectList }

func (u unchanging) List(metav1.ListOptions) (runtime.Object, error) { return u.list, nil }

func (unchanging) Watch(metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil }

func (unchanging) IsWatchListSemanticsUnSupported() bool { return true }

func trained() user { return mia(claim("subject", "person-4999")) }

// deployment is a change of some size: about 10 kB, and as much of what was there.
func deployment(b *testing.B) webhook.Request {
	b.Helper()
	object := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: lab, Name: "lis"}}
	for i := range 4 {
		container := corev1.Container{Name: fmt.Sprintf("container-%d", i), Image: "registry.lab.example/lis:1"}
		for j := range 24 {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", j), Value: "https://service.lab.example/of/some/length/and/more"})
		}
		object.Spec.Template.Spec.Containers = append(object.Spec.Template.Spec.Containers, container)
	}
	raw, err := json.Marshal(object)
	if err != nil {
		b.Fatal(err)
	}
	asked := request(trained(), admissionv1.Update, "deployments", "lis")
	asked.Object.Raw, asked.OldObject.Raw = raw, raw
	return asked
}

// row is one line of the table that the benchmark prints at its end.
type row struct {
	name          string
	answers       int
	cpu, p50, p99 time.Duration
}

// measure takes the time of each answer, and the time that processors have worked for all of them, which does not depend on what else the machine does.
func measure(b *testing.B, name string, rows *[]row, answer func()) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		answer() // the first one arranges the namespace
		var each []time.Duration
		b.ReportAllocs()
		before := worked(b)
		for b.Loop() {
			started := time.Now()
			answer()
			each = append(each, time.Since(started))
		}
		cpu := (worked(b) - before) / time.Duration(len(each))
		slices.Sort(each)
		*rows = append(*rows, row{name: name, answers: len(each), cpu: cpu, p50: each[len(each)/2], p99: each[len(each)*99/100]})
	})
}

// worked is how long processors have worked for this process, in its own code and in the kernel.
func worked(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkPeople is the whole handler, from the request to the answer, over the informer cache of a manager; "served" is from the bytes of the
// AdmissionReview to those of its answer, and "taken apart only" the same where nothing is decided; "first after a change" is the first request after a
// LabWorkload of the namespace has changed, and "arranged anew" the first in a namespace at all.
func BenchmarkPeople(b *testing.B) {
	log.SetLogger(logr.Discard())
	var rows []row
	for _, namespaces := range []int{50, 1} {
		reader, gate := newHospital(namespaces).serve(b)
		cold := people.New(reader, clocktesting.NewFakePassiveClock(now), people.Config{User: labguard})
		handle := func(gate *people.Gate, asked webhook.Request, reason string) func() {
			handler := gate.Validating()
			return func() {
				if got := handler.Handle(b.Context(), asked); got.AuditAnnotations["reason"] != reason {
					b.Fatalf("answered %v", got.AuditAnnotations)
				}
			}
		}
		serve := func(handler webhook.Handler, asked webhook.Request, reason string) func() {
			body, server := review(b, asked), served(handler)
			return func() {
				if got := post(server, body); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), reason) {
					b.Fatalf("%d %s", got.Code, got.Body)
				}
			}
		}
		changes, changed := &informers{&informertest.FakeInformers{Scheme: newScheme(b)}, map[string][]toolscache.ResourceEventHandler{}}, workload()
		told := people.New(reader, clocktesting.NewFakePassiveClock(now), people.Config{User: labguard})
		if err := told.Watch(b.Context(), changes); err != nil {
			b.Fatal(err)
		}
		known, unknown := request(trained(), admissionv1.Connect, "pods/exec", "pod-0"), request(trained(), admissionv1.Connect, "pods/exec", "new")
		refused := request(mia(claim("subject", "eve"), claim("amr", "pwd")), admissionv1.Connect, "pods/exec", "pod-0")
		all := request(mia(claim("subject", "eve"), claim("amr", "pwd")), admissionv1.Delete, "services", "lis")
		changed.Name = "workload-0"
		first := handle(told, known, "TrainingMissing")
		for _, test := range []struct {
			name   string
			answer func()
		}{
			{"exec, let through", handle(gate, known, "Proven")},
			{"exec, pod not known", handle(gate, unknown, "Proven")},
			{"exec, refused", handle(gate, refused, "MethodsMissing")},
			{"change of 10 kB, let through", handle(gate, deployment(b), "Proven")},
			{"change, refused by all", handle(gate, all, "MethodsMissing")},
			{"exec, taken apart only", serve(gate.BreakGlass(), known, "allowed")},
			{"exec, served", serve(gate.Validating(), known, "Proven")},
			{"change of 10 kB, taken apart only", serve(gate.BreakGlass(), deployment(b), "allowed")},
			{"change of 10 kB, served", serve(gate.Validating(), deployment(b), "Proven")},
			{"exec, first after a change", func() { changes.tell(changed); first() }},
			{"exec, arranged anew", handle(cold, known, "TrainingUnknown")},
		} {
			measure(b, fmt.Sprintf("labworkloads=%d/%s", 1_000/namespaces, test.name), &rows, test.answer)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "LabWorkloads in the namespace\trequest\tanswers\tCPU \u00b5s\tp50 \u00b5s\tp99 \u00b5s\t")
	for _, each := range rows {
		count, name, _ := strings.Cut(strings.TrimPrefix(each.name, "labworkloads="), "/")
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t\n", count, name, each.answers, micros(each.cpu), micros(each.p50), micros(each.p99))
	}
	if err := table.Flush(); err != nil {
		b.Fatal(err)
	}
}

func micros(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Nanoseconds())/1000) }
