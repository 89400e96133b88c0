// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
)

type nothingServed struct{}

func (nothingServed) Serves(schema.GroupKind) bool { return false }

// A series that stays would tell of a rollout that nobody can find.
func TestHeldRolloutsAreCountedUntilThereAreNone(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	const name = "counted-here"
	for end, remove := range map[string]func(client.Client, *corev1.Namespace, *appsv1.Deployment) error{
		"the namespace is gone": func(c client.Client, namespace *corev1.Namespace, _ *appsv1.Deployment) error {
			return c.Delete(t.Context(), namespace)
		},
		"it is released": func(c client.Client, _ *corev1.Namespace, deployment *appsv1.Deployment) error {
			deployment.Annotations = nil
			return c.Update(t.Context(), deployment)
		},
		"it is deleted": func(c client.Client, _ *corev1.Namespace, deployment *appsv1.Deployment) error {
			return c.Delete(t.Context(), deployment)
		},
	} {
		t.Run(end, func(t *testing.T) {
			metrics.HeldRollouts.Reset()
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
			held := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
				Namespace: name, Name: "lis", Annotations: map[string]string{v1alpha1.HoldAnnotation: `{"paused":null}`},
			}}
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(namespace, held).Build()
			r := &Reconciler{Client: c, Served: nothingServed{}, Clock: testclock.NewFakeClock(time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC))}
			look := func() {
				if _, err := r.gather(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			look()
			if got := testutil.ToFloat64(metrics.HeldRollouts.WithLabelValues(name)); got != 1 {
				t.Errorf("%v are held", got)
			}
			if err := remove(c, namespace, held); err != nil {
				t.Fatal(err)
			}
			look()
			if left := testutil.CollectAndCount(metrics.HeldRollouts); left != 0 {
				t.Errorf("%d series are left", left)
			}
		})
	}
}
