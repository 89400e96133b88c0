// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
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

// always is a canary that comes back at once.
type always struct{}

func (always) Prove(context.Context, string, *template.Root) (Proof, error) { return full, nil }

func TestTheBooksSurviveWhateverGoesWrong(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	env, err := reliability.Connect(cluster.Config(), nil, scheme)
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	reliability.Run(t, env, theBooks())
}

// theBooks are those of a namespace from the beginning of its epoch: then the gate lets an image in, then one root goes and another one comes in
// while the namespace is in recovery, then recovery is over. The deletion of a record after its retention has no part: whoever reads the past
// writes the record anew, for another retention.
func theBooks() reliability.Scenario {
	return reliability.Scenario{
		Name:    "the books",
		Arrange: arrangeBooks,
		Disturb: []reliability.Step{
			{Name: "the gate lets an image in", Anytime: true, Do: admit},
			{Name: "recovery", Do: recover24},
			{Name: "recovery is over", Do: later(25 * time.Hour)},
		},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			r := &Reconciler{
				Client: c, Live: c, Served: served.ByMapper{Mapper: c.RESTMapper()}, Prover: always{}, Clock: w.Clock,
				SampleEvery: time.Second, Random: func() float64 { return 0 },
			}
			return []reliability.Controller{{Name: "enforcement", Reconcile: r.Reconcile, Requests: reliability.EachNamespace}}
		},
		Snapshot: func(ctx context.Context, w *reliability.World) ([]client.Object, error) {
			namespace := &corev1.Namespace{}
			if err := w.Admin.Get(ctx, client.ObjectKey{Name: w.Namespace}, namespace); err != nil {
				return nil, err
			}
			records, err := reliability.Kinds(&v1alpha1.RolloutRecordList{}, &appsv1.StatefulSetList{})(ctx, w)
			return append(records, namespace), err
		},
		Normalize:   withoutTimes,
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        time.Minute, // how long labguard waits for a kind that is not served
		Always:      neverPreExistingTwice,
		Cleanup: func(ctx context.Context, w *reliability.World) error {
			return w.Admin.Delete(ctx, listing(w))
		},
	}
}

// withoutTimes hides when something was written down, and keeps whether. What Kubernetes does with a workload is not labguard's doing.
func withoutTimes(object *unstructured.Unstructured) {
	if object.GetKind() == "StatefulSet" {
		delete(object.Object, "status")
		annotations := object.GetAnnotations()
		delete(annotations, v1alpha1.AdmissionsAnnotation)
		object.SetAnnotations(annotations)
		return
	}
	if labels := object.GetLabels(); labels[v1alpha1.RecoveryLabel] != "" {
		labels[v1alpha1.RecoveryLabel] = "<time>"
		object.SetLabels(labels)
	}
	if spec, found := object.Object["spec"].(map[string]any); found {
		hideTimes(spec)
	}
}

func hideTimes(fields map[string]any) {
	for key, value := range fields {
		switch deeper := value.(type) {
		case map[string]any:
			hideTimes(deeper)
		case []any:
			for _, item := range deeper {
				if nested, isMap := item.(map[string]any); isMap {
					hideTimes(nested)
				}
			}
		case string:
			if _, err := time.Parse(time.RFC3339, deeper); err == nil {
				fields[key] = "<time>"
			}
		}
	}
}

// neverPreExistingTwice: what comes after the epoch has begun is never taken for what was there before.
func neverPreExistingTwice(ctx context.Context, w *reliability.World) error {
	var records v1alpha1.RolloutRecordList
	if err := w.Admin.List(ctx, &records, client.InNamespace(w.Namespace)); err != nil {
		return err
	}
	for i := range records.Items {
		for _, image := range records.Items[i].Spec.Admitted {
			if image.Reason == v1alpha1.AdmittedPreExisting && image.Reference == "registry.example/recovered:1" {
				return fmt.Errorf("%s came in recovery and is PreExisting in record %s", image.Reference, records.Items[i].Name)
			}
		}
	}
	return nil
}

// listing is a webhook configuration that names the namespace, and asks nobody about anything.
func listing(w *reliability.World) *admissionv1.ValidatingWebhookConfiguration {
	return &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: w.Namespace, Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "nothing.labguard.dev", AdmissionReviewVersions: []string{"v1"}, SideEffects: ptr.To(admissionv1.SideEffectClassNone),
			ClientConfig: admissionv1.WebhookClientConfig{URL: new("https://localhost:9")},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{w.Namespace}},
			}},
		}},
	}
}

func arrangeBooks(ctx context.Context, w *reliability.World) error {
	for _, object := range []client.Object{
		listing(w),
		&v1alpha1.LabWorkload{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "lis"},
			Spec: v1alpha1.LabWorkloadSpec{
				Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"lab": "pathology"}},
				Enforcement: v1alpha1.EnforcementEnforce, Images: &v1alpha1.ImagesSpec{MaxAge: "2160h"},
			},
		},
		statefulSet(w, "lis", "registry.example/lis:1"), statefulSet(w, "engine", "registry.example/engine:1"),
	} {
		if err := w.Admin.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// statefulSet has no pods.
func statefulSet(w *reliability.World, name, image string) *appsv1.StatefulSet {
	labels := map[string]string{"lab": "pathology", "app": name}
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: labels}, ServiceName: name,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}},
			},
		},
	}
}

// admit is a new workload with what the webhook writes on it.
func admit(ctx context.Context, w *reliability.World) error {
	admitted := statefulSet(w, "viewer", "registry.example/viewer:1")
	admitted.Annotations = ledger.Annotations([]v1alpha1.AdmittedImage{{
		Reference: "registry.example/viewer:1", Container: "app", Digest: "sha256:1", Time: metav1.NewTime(w.Clock.Now()), Reason: v1alpha1.AdmittedFresh,
	}}, ledger.Set{}, nil)
	return w.Admin.Create(ctx, admitted)
}

// recover24 is somebody who asks for recovery for a day, removes a workload and brings another image.
func recover24(ctx context.Context, w *reliability.World) error {
	until := strconv.FormatInt(w.Clock.Now().Add(24*time.Hour).Unix(), 10)
	label := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, v1alpha1.RecoveryLabel, until)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace}}
	return errors.Join(
		w.Admin.Patch(ctx, namespace, client.RawPatch("application/merge-patch+json", []byte(label))),
		w.Admin.Delete(ctx, statefulSet(w, "engine", "")),
		w.Admin.Create(ctx, statefulSet(w, "recovered", "registry.example/recovered:1")),
	)
}

func later(by time.Duration) func(context.Context, *reliability.World) error {
	return func(_ context.Context, w *reliability.World) error {
		w.Clock.Step(by)
		return nil
	}
}
