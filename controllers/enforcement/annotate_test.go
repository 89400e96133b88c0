// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/api/v1alpha1"
)

// TestOneObjectThatTakesNoAnnotation shows that a Deployment whose annotations are full, as every tenant can make one, keeps neither the recovery
// of its namespace open nor the annotations of others away.
func TestOneObjectThatTakesNoAnnotation(t *testing.T) {
	kind := schema.GroupKind{Group: "apps", Kind: "Deployment"}
	tests := []struct {
		name    string
		answer  error
		failing bool
	}{
		{name: "annotations that are too long are tried again later", answer: apierrors.NewInvalid(kind, "a-full", nil)},
		{name: "a policy of others that refuses is tried again later", answer: apierrors.NewForbidden(schema.GroupResource{}, "a-full", errors.New("policy"))},
		{name: "an API server that fails is tried again with back-off", answer: apierrors.NewInternalError(errors.New("etcd is away")), failing: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := recovering(t, func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
				if object.GetName() == "a-full" {
					return test.answer
				}
				return c.Patch(ctx, object, patch, options...)
			})
			var result ctrl.Result
			var err error
			for range 3 { // the records, the annotations, the end of recovery
				result, err = r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Name: "lab"}})
			}
			if (err != nil) != test.failing {
				t.Errorf("error %v, want one: %t", err, test.failing)
			}
			if !test.failing && (result.RequeueAfter <= 0 || result.RequeueAfter > annotateAgain) {
				t.Errorf("looks again after %s, want within %s", result.RequeueAfter, annotateAgain)
			}
			var namespace corev1.Namespace
			if err := r.Get(t.Context(), client.ObjectKey{Name: "lab"}, &namespace); err != nil {
				t.Fatal(err)
			}
			if _, open := namespace.Labels[v1alpha1.RecoveryLabel]; open {
				t.Error("the namespace is still in recovery")
			}
			var other appsv1.Deployment
			if err := r.Get(t.Context(), client.ObjectKey{Namespace: "lab", Name: "b-other"}, &other); err != nil {
				t.Fatal(err)
			}
			if got := other.Annotations[v1alpha1.AdmittedAnnotation]; got != "registry.example/app:1" {
				t.Errorf("the other Deployment carries %q, want its image", got)
			}
		})
	}
}

// recovering is a reconciler before a namespace that enforces, with two Deployments, whose recovery is over.
func recovering(t *testing.T, patch func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error) *Reconciler {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	begun := metav1.NewTime(now.Add(-time.Hour))
	epoch := &v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: v1alpha1.EpochRecordName}}
	epoch.Spec.Epoch = &v1alpha1.Epoch{EnforcedSince: &begun, Proof: v1alpha1.ReasonEnforcementNotProven, RecoverySince: &begun}
	workload := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "lis"}}
	workload.Spec.Selector.MatchLabels = map[string]string{"app": "lis"}
	workload.Spec.Enforcement = v1alpha1.EnforcementEnforce
	workload.Spec.Images = &v1alpha1.ImagesSpec{MaxAge: "1h"}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "lab", Labels: map[string]string{v1alpha1.RecoveryLabel: "1000000000"}}},
		epoch, workload, governed("a-full"), governed("b-other"),
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{Patch: patch}).Build()
	return &Reconciler{Client: c, Live: c, Served: nothingMore{}, Clock: clocktesting.NewFakePassiveClock(now), Random: func() float64 { return 0 }}
}

func governed(name string) *appsv1.Deployment {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: name}}
	deployment.Spec.Template.Labels = map[string]string{"app": "lis"}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "registry.example/app:1"}}
	return deployment
}

// nothingMore serves no kind beyond those of Kubernetes.
type nothingMore struct{}

func (nothingMore) Serves(schema.GroupKind) bool { return false }

func TestTheBooksDoNotListAirlock(t *testing.T) {
	const airlock = "registry.example/airlock@sha256:1"
	r := recovering(t, nil)
	bare := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "bare", Labels: map[string]string{"app": "lis"}}}
	bare.Spec.InitContainers = []corev1.Container{{Name: "airlock", Image: airlock}}
	bare.Spec.Containers = []corev1.Container{{Name: "app", Image: "registry.example/app:2"}}
	if err := r.Create(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	for image, want := range map[string][]string{airlock: {"registry.example/app:2"}, "": {airlock, "registry.example/app:2"}} {
		r.Airlock = image
		s, err := r.gather(t.Context(), "lab")
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			for _, root := range s.observation(nil).Roots {
				if got := root.Template.References(); root.Kind == "Pod" && !slices.Equal(got, want) {
					t.Errorf("%s, with the image %q the books see %v, want %v", when, image, got, want)
				}
			}
		}
		check("at any time")
		if err := r.lookAgain(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		check("when an epoch begins")
	}
}
