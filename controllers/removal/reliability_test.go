// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package removal

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/reliability"
)

func TestASidecarIsTakenAwayWhateverGoesWrong(t *testing.T) {
	env, err := reliability.Connect(cluster.Config(), nil, kinds(t))
	if err != nil {
		t.Fatal(err)
	}
	env.Keep = cluster.EndsWithTests()
	reliability.Run(t, env, theRemoval())
}

// theRemoval is a LIS whose LabWorkload is gone, beside an engine whose LabWorkload stays; then the last pod of the LIS goes.
func theRemoval() reliability.Scenario {
	return reliability.Scenario{
		Name: "the removal",
		Pods: true,
		Arrange: func(ctx context.Context, w *reliability.World) error {
			lis, engine := profile(w.Namespace, "lis"), profile(w.Namespace, "engine")
			if err := create(ctx, w.Admin, workload(w.Namespace, "engine"), engine, lis); err != nil {
				return err
			}
			return create(ctx, w.Admin, document(engine, "lis"), document(lis, "lis", "engine"), pod(w.Namespace, "lis"), pod(w.Namespace, "engine"))
		},
		Disturb: []reliability.Step{{Name: "the last pod goes", Do: func(ctx context.Context, w *reliability.World) error {
			return w.Admin.Delete(ctx, pod(w.Namespace, "lis"), client.GracePeriodSeconds(0))
		}}},
		New: func(w *reliability.World, c client.Client) []reliability.Controller {
			return []reliability.Controller{{
				Name: "removal", Reconcile: newReconciler(c, w.Clock).Reconcile, Requests: reliability.Each(&v1alpha1.AirlockProfileList{}),
			}}
		},
		Snapshot:    reliability.Kinds(&v1alpha1.LabWorkloadList{}, &v1alpha1.AirlockProfileList{}, &corev1.ConfigMapList{}, &corev1.PodList{}),
		Normalize:   withoutNames,
		FieldOwners: []string{v1alpha1.FieldManager},
		Soon:        settlesIn + settlesIn/2, // how long a profile stays that nobody needs, and some jitter
		Await: func(ctx context.Context, w *reliability.World) (bool, error) {
			gone, err := isGone(ctx, w, &v1alpha1.AirlockProfile{})
			if err != nil || !gone {
				return true, err
			}
			return isGone(ctx, w, &corev1.ConfigMap{})
		},
		Always: whatPodsLiveOnStays,
	}
}

// withoutNames leaves out what Kubernetes writes into a pod, and of which namespace's document a pod was told.
func withoutNames(object *unstructured.Unstructured) {
	delete(object.Object, "status")
	if object.GetKind() != "Pod" {
		return
	}
	delete(object.Object, "spec")
	if object.GetAnnotations()[v1alpha1.SyncAnnotation] != "" {
		object.SetAnnotations(map[string]string{v1alpha1.SyncAnnotation: "told"})
	}
}

// isGone says whether there is no object with the name of the children of the LIS.
func isGone(ctx context.Context, w *reliability.World, object client.Object) (bool, error) {
	err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: desired.ChildName("lis")}, object)
	return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
}

// whatPodsLiveOnStays: nobody's profile goes before his last pod, and one that is asked for is not touched.
func whatPodsLiveOnStays(ctx context.Context, w *reliability.World) error {
	var engine v1alpha1.AirlockProfile
	if err := w.Admin.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: desired.ChildName("engine")}, &engine); err != nil {
		return err
	}
	if engine.Spec.Selector == nil || engine.Spec.Stage != v1alpha1.TransitStageStrict {
		return errors.New("the profile of a LabWorkload that asks for it was opened")
	}
	err := w.Admin.Get(ctx, client.ObjectKeyFromObject(pod(w.Namespace, "lis")), &corev1.Pod{})
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	lis, document := &v1alpha1.AirlockProfile{}, &corev1.ConfigMap{}
	for _, object := range []client.Object{lis, document} {
		if gone, err := isGone(ctx, w, object); err != nil || gone {
			return errors.Join(errors.New("a pod has the sidecar, and what it lives on is gone"), err)
		}
	}
	if !metav1.IsControlledBy(document, lis) {
		return errors.New("the document has another owner")
	}
	return nil
}
