// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/admission"
	"github.com/labguard/labguard/internal/desired/gate"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestMain(m *testing.M) {
	// Trials wait for the API server more than they compute. The command line may say otherwise.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(cluster.Main(m, cluster.WithCRDs("../../config/crd/bases")))
}

// tags are images that are stale until somebody pushes them anew. Each trial has references of its own.
type tags struct {
	lock   sync.Mutex
	pushed map[string]bool
}

func (t *tags) push(reference string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.pushed[reference] = true
}

func (t *tags) fresh(reference string) bool {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.pushed[reference] || strings.HasSuffix(reference, ":1")
}

func (t *tags) Lookup(query posture.ImageQuery) (posture.ImageFacts, bool) {
	age := 200 * 24 * time.Hour
	if t.fresh(query.Reference) {
		age = time.Hour
	}
	return posture.ImageFacts{Digest: "sha256:" + query.Reference, ConfigCreated: time.Now().Add(-age).Truncate(time.Second)}, true
}

func (t *tags) Current(query posture.ImageQuery) (posture.ImageFacts, bool) { return t.Lookup(query) }

func (t *tags) Resolve(_ context.Context, query posture.ImageQuery) posture.ImageFacts {
	facts, _ := t.Lookup(query)
	return facts
}

// NextLook is later than the scenario lasts.
func (t *tags) NextLook(posture.ImageQuery) time.Time { return time.Now().Add(24 * time.Hour) }

// listen makes the API server of the test call labguard's webhooks in every namespace of a trial.
func listen(t *testing.T, admin client.Client, facts admission.Facts) {
	t.Helper()
	review := &authenticationv1.SelfSubjectReview{}
	if err := admin.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	handlers := &admission.Gate{Reader: admin, Facts: facts, Clock: clock.RealClock{}, Wait: time.Second, User: review.Status.UserInfo.Username}
	mux := http.NewServeMux()
	mux.Handle(gate.MutatePath, &webhook.Admission{Handler: handlers.Mutating()})
	mux.Handle(gate.ValidatePath, &webhook.Admission{Handler: handlers.Validating()})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	config := gate.Config{
		Namespaces: []string{"replaced-below"}, LabguardUser: handlers.User, Endpoint: gate.Endpoint{URL: server.URL},
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	everywhere := metav1ac.LabelSelector().WithMatchExpressions(
		metav1ac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator(metav1.LabelSelectorOpNotIn).WithValues("kube-system", "default"),
		metav1ac.LabelSelectorRequirement().WithKey(v1alpha1.RecoveryLabel).WithOperator(metav1.LabelSelectorOpDoesNotExist),
	)
	mutating, validating := gate.MutatingWebhooks(config)[0], gate.ValidatingWebhooks(config)[0]
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].NamespaceSelector = everywhere
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].NamespaceSelector = everywhere
	}
	if err := errors.Join(
		admin.Apply(t.Context(), mutating, client.FieldOwner("test")), admin.Apply(t.Context(), validating, client.FieldOwner("test")),
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, err := range []error{
			admin.Delete(ctx, unstructuredOf("MutatingWebhookConfiguration", *mutating.Name)),
			admin.Delete(ctx, unstructuredOf("ValidatingWebhookConfiguration", *validating.Name)),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func unstructuredOf(kind, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("admissionregistration.k8s.io/v1")
	object.SetKind(kind)
	object.SetName(name)
	return object
}

func TestHoldsSurviveWhateverGoesWrong(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	admin, err := client.New(cluster.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	env, err := reliability.Connect(cluster.Config(), nil, scheme)
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	facts := &tags{pushed: map[string]bool{}}
	listen(t, admin, facts)
	reliability.Run(t, env, theHolds(facts))
}

// theHolds are those of a Deployment, of a StatefulSet whose partition Git declares, and of a new Job: held in admission, then released when the tag is pushed
// anew; then the Deployment is held again and the namespace goes into recovery, where no webhook listens.
func theHolds(facts *tags) reliability.Scenario {
	return reliability.Scenario{
		Name:    "the holds",
		Arrange: arrangeHolds,
		Disturb: []reliability.Step{
			{Name: "the tag is pushed anew", Do: func(_ context.Context, w *reliability.World) error {
				facts.push(image(w, 2))
				return nil
			}},
			{Name: "another image is held", Do: func(ctx context.Context, w *reliability.World) error { return roll(ctx, w, 3) }},
			{Name: "recovery", Do: func(ctx context.Context, w *reliability.World) error {
				label := fmt.Sprintf(`{"metadata":{"labels":{%q:"1895000000"}}}`, v1alpha1.RecoveryLabel)
				namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace}}
				return w.Admin.Patch(ctx, namespace, client.RawPatch("application/merge-patch+json", []byte(label)))
			}},
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			r := &Reconciler{
				Client: c, Live: c, Served: served.ByMapper{Mapper: c.RESTMapper()}, Facts: facts, Clock: w.Clock, Random: func() float64 { return 0 },
				Recorder: events.NewFakeRecorder(1000),
			}
			return []reliability.Controller{{Name: "hold", Reconcile: r.Reconcile, Requests: reliability.EachNamespace}}
		},
		Snapshot:    reliability.Kinds(&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &batchv1.JobList{}),
		Normalize:   onlyTheSpec,
		FieldOwners: []string{v1alpha1.FieldManager, "flux"},
		Soon:        putBackAgain,
		Always:      func(ctx context.Context, w *reliability.World) error { return nothingStaleIsLoose(ctx, w, facts) },
	}
}

// onlyTheSpec leaves out what the controllers of Kubernetes write, and when something was admitted.
func onlyTheSpec(object *unstructured.Unstructured) {
	delete(object.Object, "status")
	annotations := object.GetAnnotations()
	for key := range annotations {
		if key != v1alpha1.HoldAnnotation && key != v1alpha1.AdmittedAnnotation {
			delete(annotations, key)
		}
	}
	object.SetAnnotations(annotations)
	object.SetGeneration(0)
}

// nothingStaleIsLoose: outside of recovery nothing rolls out an image that is stale, whatever write was the last.
func nothingStaleIsLoose(ctx context.Context, w *reliability.World, facts *tags) error {
	namespace := &corev1.Namespace{}
	if err := w.Admin.Get(ctx, client.ObjectKey{Name: w.Namespace}, namespace); err != nil || namespace.Labels[v1alpha1.RecoveryLabel] != "" {
		return err
	}
	for _, kind := range []string{"Deployment", "StatefulSet", "Job"} {
		object := &unstructured.Unstructured{}
		object.SetAPIVersion(map[bool]string{true: "batch/v1", false: "apps/v1"}[kind == "Job"])
		object.SetKind(kind)
		if err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: "lis"}, object); err != nil {
			return err
		}
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		if err != nil || len(containers) == 0 {
			return fmt.Errorf("%s has no containers: %w", kind, err)
		}
		first, _ := containers[0].(map[string]any)
		declared, _ := first["image"].(string)
		if !facts.fresh(declared) && !hold.Of(object).Held() {
			return fmt.Errorf("%s lis is not held and declares %s", kind, declared)
		}
	}
	return nil
}

func image(w *reliability.World, version int) string {
	return fmt.Sprintf("registry.example/%s/lis:%d", w.Namespace, version)
}

func pods(w *reliability.World, version int) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "lis"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "lis", Image: image(w, version)}}},
	}
}

func arrangeHolds(ctx context.Context, w *reliability.World) error {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}
	none := int32(0)
	job := pods(w, 2)
	job.Spec.RestartPolicy = corev1.RestartPolicyNever
	meta := metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"}
	for _, object := range []client.Object{
		&v1alpha1.LabWorkload{ObjectMeta: meta, Spec: v1alpha1.LabWorkloadSpec{
			Selector: *selector, Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", OnStale: v1alpha1.OnStaleHold},
		}},
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: &none, Selector: selector, Template: pods(w, 1)}},
		&batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: job}},
	} {
		if err := w.Admin.Create(ctx, object); err != nil {
			return err
		}
	}
	if err := declare(ctx, w, 1); err != nil {
		return err
	}
	if err := roll(ctx, w, 2); err != nil {
		return err
	}
	return declare(ctx, w, 2)
}

// declare is Git: a StatefulSet with a partition, by server-side apply, once the controller has seen what was there before.
func declare(ctx context.Context, w *reliability.World, version int) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		found := &appsv1.StatefulSet{}
		err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: "lis"}, found)
		settled := found.Status.ObservedGeneration == found.Generation && found.Status.CurrentRevision == found.Status.UpdateRevision
		return err != nil || settled, client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("wait for the StatefulSet: %w", err)
	}
	template := pods(w, version)
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"serviceName": "none", "replicas": int64(0), "selector": map[string]any{"matchLabels": map[string]any{"app": "lis"}},
		"updateStrategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"partition": int64(2)}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "lis"}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "lis", "image": template.Spec.Containers[0].Image}}},
		},
	}}}
	object.SetAPIVersion("apps/v1")
	object.SetKind("StatefulSet")
	object.SetNamespace(w.Namespace)
	object.SetName("lis")
	return w.Admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("flux"))
}

// roll gives the Deployment another image.
func roll(ctx context.Context, w *reliability.World, version int) error {
	patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"lis","image":%q}]}}}}`, image(w, version))
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"}}
	return w.Admin.Patch(ctx, deployment, client.RawPatch("application/strategic-merge-patch+json", []byte(patch)))
}
