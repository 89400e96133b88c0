// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/posture"
)

// imagesOfRecord is how many admitted images each RolloutRecord of the benchmarks has.
const imagesOfRecord = 10

// BenchmarkAdmission answers the webhooks about a new Deployment with digests that are known, as a cluster of some size does: LabWorkloads and as many
// RolloutRecords in the namespace of the request, and 10,000 more of each in 1,000 others. "pair" is what one write of a user costs.
func BenchmarkAdmission(b *testing.B) {
	for _, elsewhere := range []int{0, 10_000} {
		for _, workloads := range []int{1, 200} {
			b.Run(fmt.Sprintf("labworkloads=%d/elsewhere=%d", workloads, elsewhere), func(b *testing.B) {
				site := newLaboratory(b, workloads, elsewhere)
				for _, containers := range []int{1, 8} {
					b.Run(fmt.Sprintf("containers=%d", containers), func(b *testing.B) { site.benchmark(b, containers) })
				}
			})
		}
	}
}

// BenchmarkAdmissionAfterAChange answers both webhooks when a RolloutRecord of the namespace has changed since the last request: the worst case, which
// every real rollout is followed by once.
func BenchmarkAdmissionAfterAChange(b *testing.B) {
	for _, workloads := range []int{1, 200} {
		b.Run(fmt.Sprintf("labworkloads=%d", workloads), func(b *testing.B) {
			site := newLaboratory(b, workloads, 0)
			write := site.rollout(b, 1)
			for b.Loop() {
				fresh := &admission.Gate{
					Reader: admission.NewViews(site.reader), Facts: site.gate.Facts, Clock: site.gate.Clock, Wait: site.gate.Wait, User: site.gate.User,
				}
				if answer := fresh.Mutating().Handle(b.Context(), write); len(answer.Patches) == 0 {
					b.Fatalf("nothing is admitted: %+v", answer)
				}
			}
		})
	}
}

// BenchmarkServing is one mutating request as the webhook server gets it: with the decoding of the AdmissionReview and the encoding of the answer.
func BenchmarkServing(b *testing.B) {
	site := newLaboratory(b, 200, 0)
	server := &webhook.Webhook{Handler: site.gate.Mutating()}
	for _, containers := range []int{1, 8} {
		b.Run(fmt.Sprintf("containers=%d", containers), func(b *testing.B) {
			write := site.rollout(b, containers)
			review := string(encode(b, &admissionv1.AdmissionReview{
				TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: &write.AdmissionRequest,
			}))
			b.ReportAllocs()
			for b.Loop() {
				request := httptest.NewRequest(http.MethodPost, admission.MutatePath, strings.NewReader(review))
				request.Header.Set("Content-Type", "application/json")
				answer := httptest.NewRecorder()
				server.ServeHTTP(answer, request)
				if !strings.Contains(answer.Body.String(), `"patchType":"JSONPatch"`) {
					b.Fatalf("%s", answer.Body)
				}
			}
		})
	}
}

// laboratory is a gate over the cache that the manager has.
type laboratory struct {
	gate   *admission.Gate
	reader client.Reader
	known  knownImages
}

func (l *laboratory) benchmark(b *testing.B, containers int) {
	b.Helper()
	created := l.rollout(b, containers)
	admitted := created
	admitted.Object.Raw = patched(b, created.Object.Raw, l.gate.Mutating().Handle(b.Context(), created))
	mutating, validating := l.gate.Mutating(), l.gate.Validating()
	mutate := func(b *testing.B) {
		b.Helper()
		if answer := mutating.Handle(b.Context(), created); !answer.Allowed || len(answer.Patches) == 0 {
			b.Fatalf("nothing is admitted: %+v", answer)
		}
	}
	validate := func(b *testing.B) {
		b.Helper()
		if answer := validating.Handle(b.Context(), admitted); !answer.Allowed {
			b.Fatalf("refused: %+v", answer)
		}
	}
	for name, handle := range map[string][]func(*testing.B){"mutating": {mutate}, "validating": {validate}, "pair": {mutate, validate}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, one := range handle {
					one(b)
				}
			}
		})
	}
}

// rollout is the creation of a Deployment as people write them, each container with an image of its own that nobody has used here.
func (l *laboratory) rollout(b *testing.B, containers int) webhook.Request {
	b.Helper()
	var references []string
	for i := range containers {
		reference := fmt.Sprintf("registry.lab.example/app-%d@%s", i, digest)
		l.known[reference] = made(time.Hour)
		references = append(references, reference)
	}
	object := furnished(deployment(references...))
	var fields map[string]any
	if err := json.Unmarshal(encode(b, object), &fields); err != nil {
		b.Fatal(err)
	}
	object.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kubectl-create", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1", FieldsType: "FieldsV1", Time: &metav1.Time{Time: now},
		FieldsV1: metav1.NewFieldsV1(string(encode(b, owned(fields)))),
	}}
	return create(b, "Deployment", object)
}

// owned are the fields of a value as managed fields name them.
func owned(value any) any {
	fields := map[string]any{".": map[string]any{}}
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			fields["f:"+key] = owned(member)
		}
	case []any:
		for i, element := range v {
			fields[fmt.Sprintf(`k:{"name":"%d"}`, i)] = owned(element)
		}
	}
	return fields
}

// furnished is a Deployment with the fields that Deployments have.
func furnished(object *appsv1.Deployment) *appsv1.Deployment {
	object.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
	object.Labels = map[string]string{"app.kubernetes.io/name": "lis", "app.kubernetes.io/part-of": "pathology"}
	object.Annotations = map[string]string{"owner": "pathology@lab.example"}
	object.Spec.Replicas = new(int32(3))
	object.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	pods := &object.Spec.Template.Spec
	pods.ServiceAccountName = "lis"
	pods.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: new(true), FSGroup: new(int64(1000))}
	pods.Volumes = []corev1.Volume{
		{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "lis"}}}},
		{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	for i := range pods.Containers {
		container := &pods.Containers[i]
		for name := range 6 {
			container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", name), Value: "https://service.lab.example/of/some/length"})
		}
		container.Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}
		container.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
		container.ReadinessProbe = &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}},
			PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
		}
		container.VolumeMounts = []corev1.VolumeMount{{Name: "settings", MountPath: "/etc/lis", ReadOnly: true}, {Name: "scratch", MountPath: "/tmp"}}
		container.TerminationMessagePath, container.TerminationMessagePolicy = "/dev/termination-log", corev1.TerminationMessageReadFile
		container.ImagePullPolicy = corev1.PullIfNotPresent
		container.SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true)}
	}
	return object
}

// knownImages is a registry that has answered already.
type knownImages map[string]posture.ImageFacts

func (k knownImages) Current(query posture.ImageQuery) (posture.ImageFacts, bool) {
	facts, known := k[query.Reference]
	return facts, known
}

func (k knownImages) Resolve(_ context.Context, query posture.ImageQuery) posture.ImageFacts {
	return k[query.Reference]
}

// newLaboratory fills a cache: one LabWorkload that governs, others up to the number given, and as many elsewhere, ten to a namespace.
func newLaboratory(b *testing.B, workloads, elsewhere int) *laboratory {
	b.Helper()
	var stored stored
	for i := range workloads + elsewhere {
		one := workload(fmt.Sprintf("lis-%d", i))
		if i > 0 {
			one.Spec.Selector.MatchLabels = map[string]string{"app": fmt.Sprintf("other-%d", i)}
		}
		var references []string
		for image := range imagesOfRecord {
			references = append(references, fmt.Sprintf("registry.lab.example/other-%d:%d", i, image))
		}
		records := record(fmt.Sprintf("deployment-other-%d", i), v1alpha1.AdmittedFresh, references...)
		if i >= workloads {
			one.Namespace = fmt.Sprintf("laboratory-%d", i/10)
			records.Namespace = one.Namespace
		}
		stored.workloads.Items = append(stored.workloads.Items, *one)
		stored.records.Items = append(stored.records.Items, *records)
	}
	reader, informers := stored.serve(b)
	views := admission.NewViews(reader)
	if err := views.Watch(b.Context(), informers); err != nil || !informers.WaitForCacheSync(b.Context()) {
		b.Fatalf("fill the cache: %v", err)
	}
	known := knownImages{}
	return &laboratory{reader: reader, known: known, gate: &admission.Gate{
		Reader: views, Facts: known, Clock: clocktesting.NewFakePassiveClock(now), Wait: 2 * time.Second, User: labguard,
	}}
}

// stored is what the API server of a benchmark has.
type stored struct {
	workloads v1alpha1.LabWorkloadList
	records   v1alpha1.RolloutRecordList
}

// serve gives the client of a manager: one that reads from informers, which are filled once.
func (s *stored) serve(b *testing.B) (client.Reader, cache.Informers) {
	b.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		b.Fatal(err)
	}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion})
	for _, kind := range []string{"LabWorkload", "RolloutRecord"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	nowhere := &rest.Config{Host: "https://no-api-server.invalid"}
	informers, err := cache.New(nowhere, cache.Options{
		Scheme: scheme, Mapper: mapper,
		NewInformer: func(_ toolscache.ListerWatcher, kind runtime.Object, resync time.Duration, by toolscache.Indexers) toolscache.SharedIndexInformer {
			return toolscache.NewSharedIndexInformer(listed{s.list(kind)}, kind, resync, by)
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	go func() { _ = informers.Start(ctx) }()
	reader, err := client.New(nowhere, client.Options{Scheme: scheme, Mapper: mapper, Cache: &client.CacheOptions{Reader: informers}})
	if err != nil {
		b.Fatal(err)
	}
	return reader, informers
}

func (s *stored) list(kind runtime.Object) client.ObjectList {
	if _, isRecord := kind.(*v1alpha1.RolloutRecord); isRecord {
		return &s.records
	}
	return &s.workloads
}

// listed is an API server where nothing changes.
type listed struct{ list client.ObjectList }

func (l listed) List(metav1.ListOptions) (runtime.Object, error) { return l.list, nil }

func (listed) Watch(metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil }

func (listed) IsWatchListSemanticsUnSupported() bool { return true }
