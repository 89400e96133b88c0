// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	webhook "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
)

const (
	namespace = "pathology"
	labguard  = "system:serviceaccount:labguard-system:labguard"

	freshImage   = "registry.lab.example/lis:fresh"
	staleImage   = "registry.lab.example/lis:stale"
	unknownImage = "registry.lab.example/lis:unknown"
	oldImage     = "registry.lab.example/lis:old"
)

var (
	now    = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	digest = "sha256:" + strings.Repeat("ab", 32)
	labels = map[string]string{"app": "lis"}
)

// images is what the registry knows in these tests: Current and Resolve answer the same.
type images struct {
	lock    sync.Mutex
	facts   map[string]posture.ImageFacts
	queries []posture.ImageQuery
	// resolved is how often somebody was ready to wait.
	resolved int
}

func made(ago time.Duration) posture.ImageFacts {
	return posture.ImageFacts{Digest: digest, ConfigCreated: now.Add(-ago)}
}

func newImages() *images {
	return &images{facts: map[string]posture.ImageFacts{
		freshImage: made(10 * 24 * time.Hour), staleImage: made(200 * 24 * time.Hour), oldImage: made(400 * 24 * time.Hour),
		unknownImage: {Unknown: v1alpha1.ReasonRegistryUnreachable, Detail: "no route to host"},
	}}
}

func (i *images) Current(query posture.ImageQuery) (posture.ImageFacts, bool) {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.queries = append(i.queries, query)
	facts, known := i.facts[query.Reference]
	return facts, known
}

func (i *images) Resolve(_ context.Context, query posture.ImageQuery) posture.ImageFacts {
	facts, _ := i.Current(query)
	i.lock.Lock()
	defer i.lock.Unlock()
	i.resolved++
	return facts
}

func (i *images) asked() []string {
	i.lock.Lock()
	defer i.lock.Unlock()
	var references []string
	for _, query := range i.queries {
		references = append(references, query.Reference)
	}
	return references
}

// gateWith is a gate over objects in a cache.
func gateWith(facts admission.Facts, objects ...client.Object) *admission.Gate {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		panic(err) // a test without a scheme tests nothing
	}
	return &admission.Gate{
		Reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(),
		Facts:  facts, Clock: clocktesting.NewFakePassiveClock(now), Wait: 2 * time.Second, User: labguard,
	}
}

// workload enforces 90 days on app=lis.
func workload(name string, changes ...func(*v1alpha1.LabWorkloadSpec)) *v1alpha1.LabWorkload {
	result := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: labels}, Enforcement: v1alpha1.EnforcementEnforce,
			Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", OnStale: v1alpha1.OnStaleDeny, OnUnknownAge: v1alpha1.OnStaleDeny},
		},
	}
	for _, change := range changes {
		change(&result.Spec)
	}
	return result
}

func warnOnly(spec *v1alpha1.LabWorkloadSpec) {
	spec.Images.OnStale, spec.Images.OnUnknownAge = v1alpha1.OnStaleWarn, v1alpha1.OnStaleWarn
}

func auditOnly(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit }

func record(name string, reason v1alpha1.AdmissionReason, references ...string) *v1alpha1.RolloutRecord {
	result := &v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, reference := range references {
		result.Spec.Admitted = append(result.Spec.Admitted, v1alpha1.AdmittedImage{
			Reference: reference, Reason: reason, Time: metav1.NewTime(now.Add(-100 * 24 * time.Hour)), Digest: "sha256:" + strings.Repeat("cd", 32),
		})
	}
	return result
}

func podTemplate(references ...string) corev1.PodTemplateSpec {
	pods := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}}
	for i, reference := range references {
		pods.Spec.Containers = append(pods.Spec.Containers, corev1.Container{Name: string(rune('a' + i)), Image: reference})
	}
	return pods
}

// kinds are all kinds that the gate judges, as makers of an object with containers of these images.
var kinds = map[string]func(references ...string) runtime.Object{
	"Deployment": func(references ...string) runtime.Object {
		return &appsv1.Deployment{ObjectMeta: named(), Spec: appsv1.DeploymentSpec{Template: podTemplate(references...)}}
	},
	"StatefulSet": func(references ...string) runtime.Object {
		return &appsv1.StatefulSet{ObjectMeta: named(), Spec: appsv1.StatefulSetSpec{Template: podTemplate(references...)}}
	},
	"DaemonSet": func(references ...string) runtime.Object {
		return &appsv1.DaemonSet{ObjectMeta: named(), Spec: appsv1.DaemonSetSpec{Template: podTemplate(references...)}}
	},
	"ReplicaSet": func(references ...string) runtime.Object {
		return &appsv1.ReplicaSet{ObjectMeta: named(), Spec: appsv1.ReplicaSetSpec{Template: podTemplate(references...)}}
	},
	"ReplicationController": func(references ...string) runtime.Object {
		pods := podTemplate(references...)
		return &corev1.ReplicationController{ObjectMeta: named(), Spec: corev1.ReplicationControllerSpec{Template: &pods}}
	},
	"Job": func(references ...string) runtime.Object {
		return &batchv1.Job{ObjectMeta: named(), Spec: batchv1.JobSpec{Template: podTemplate(references...)}}
	},
	"CronJob": func(references ...string) runtime.Object {
		job := batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: podTemplate(references...)}}
		return &batchv1.CronJob{ObjectMeta: named(), Spec: batchv1.CronJobSpec{JobTemplate: job}}
	},
	"Pod": func(references ...string) runtime.Object {
		pod := &corev1.Pod{ObjectMeta: named(), Spec: podTemplate(references...).Spec}
		pod.Labels = labels
		return pod
	},
	"Rollout": func(references ...string) runtime.Object {
		return &rollout{ObjectMeta: named(), Spec: rolloutSpec{Strategy: "canary", Template: podTemplate(references...)}}
	},
}

// rollout is as much of an Argo Rollout as the gate sees.
type rollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              rolloutSpec `json:"spec"`
}

type rolloutSpec struct {
	Strategy string                 `json:"strategy"`
	Template corev1.PodTemplateSpec `json:"template"`
}

func (r *rollout) DeepCopyObject() runtime.Object {
	copied := *r
	return &copied
}

func named() metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: "lis"} }

func deployment(references ...string) *appsv1.Deployment {
	object, _ := kinds["Deployment"](references...).(*appsv1.Deployment)
	return object
}

func pod(references ...string) *corev1.Pod {
	object, _ := kinds["Pod"](references...).(*corev1.Pod)
	return object
}

// admitted gives an object the annotations that labguard wrote when these images were fresh.
func admitted(object client.Object, references ...string) client.Object {
	object.SetAnnotations(ledger.Annotations(record("", v1alpha1.AdmittedFresh, references...).Spec.Admitted, ledger.Set{}, nil))
	return object
}

func create(t testing.TB, kind string, object runtime.Object) webhook.Request {
	t.Helper()
	return request(t, kind, object, nil)
}

func update(t testing.TB, kind string, old, object runtime.Object) webhook.Request {
	t.Helper()
	return request(t, kind, object, old)
}

func request(t testing.TB, kind string, object, old runtime.Object) webhook.Request {
	t.Helper()
	result := webhook.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "1", Kind: metav1.GroupVersionKind{Kind: kind}, Namespace: namespace, Operation: admissionv1.Create, DryRun: new(false),
	}}
	result.UserInfo.Username = "jane"
	result.Object.Raw = encode(t, object)
	if accessor, ok := object.(metav1.Object); ok {
		result.Name = accessor.GetName()
	}
	if old != nil {
		result.Operation, result.OldObject.Raw = admissionv1.Update, encode(t, old)
	}
	return result
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// answer is what a user gets, and what the object carries afterwards.
type answer struct {
	allowed     bool
	message     string
	warnings    []string
	annotations map[string]string
}

func (a answer) admissions() map[string]v1alpha1.AdmissionReason {
	reasons := map[string]v1alpha1.AdmissionReason{}
	for _, image := range ledger.Admissions(a.annotations) {
		reasons[image.Reference] = image.Reason
	}
	return reasons
}

// send does what the API server does: it calls the mutating webhook, applies its patch, and calls the validating one.
func send(t testing.TB, gate *admission.Gate, request webhook.Request) answer {
	t.Helper()
	mutated := gate.Mutating().Handle(t.Context(), request)
	if !mutated.Allowed || mutated.Result != nil && mutated.Result.Code >= 400 {
		return answer{message: mutated.Result.Message, warnings: mutated.Warnings}
	}
	request.Object.Raw = patched(t, request.Object.Raw, mutated)
	validated := gate.Validating().Handle(t.Context(), request)
	if len(validated.Patches) > 0 {
		t.Errorf("the validating webhook patches: %v", validated.Patches)
	}
	return answer{
		allowed: validated.Allowed, message: validated.Result.Message, warnings: append(mutated.Warnings, validated.Warnings...),
		annotations: annotationsOf(t, request.Object.Raw),
	}
}

// patched applies a patch that may write labguard's two annotations and nothing else.
func patched(t testing.TB, raw []byte, response webhook.Response) []byte {
	t.Helper()
	annotations := maps.Clone(annotationsOf(t, raw))
	for _, operation := range response.Patches {
		if operation.Operation != "add" {
			t.Fatalf("patch %v", operation)
		}
		if operation.Path == "/metadata/annotations" {
			if annotations != nil {
				t.Fatalf("the annotations of the user are replaced: %v", operation)
			}
			annotations, _ = operation.Value.(map[string]string)
			continue
		}
		key, found := strings.CutPrefix(operation.Path, "/metadata/annotations/")
		key = strings.ReplaceAll(key, "~1", "/")
		if !found || annotations == nil || !slices.Contains([]string{v1alpha1.AdmittedAnnotation, v1alpha1.AdmissionsAnnotation}, key) {
			t.Fatalf("patch %v", operation)
		}
		annotations[key], _ = operation.Value.(string)
	}
	if len(response.Patches) == 0 {
		return raw
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	metadata, _ := object["metadata"].(map[string]any)
	metadata["annotations"] = annotations
	return encode(t, object)
}

func annotationsOf(t testing.TB, raw []byte) map[string]string {
	t.Helper()
	var object struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	return object.Metadata.Annotations
}
