// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/api/v1alpha1"
)

// While the garbage collector takes the gate's policies away, one that is still there puts the mark back, and not the gate that was taken off the pod in the same write.
func TestAPodWhoseMarkWasPutBackHasItsTurnAgain(t *testing.T) {
	const mark = `{"schedulingGates":null}`
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis", Annotations: map[string]string{v1alpha1.HoldAnnotation: mark}},
		Spec:       corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.SchedulingGate}}},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
	heals := true
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(pod).
		WithIndex(&corev1.Pod{}, "status.phase", func(o client.Object) []string { return []string{string(phaseOf(o))} }).
		WithIndex(&corev1.Pod{}, "spec.nodeName", func(client.Object) []string { return []string{""} }).
		WithInterceptorFuncs(interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, options ...client.PatchOption) error {
			if err := c.Patch(ctx, o, patch, options...); err != nil || !heals {
				return err
			}
			back := client.RawPatch(client.Merge.Type(), []byte(`{"metadata":{"annotations":{"`+v1alpha1.HoldAnnotation+`":"{\"schedulingGates\":null}"}}}`))
			return c.Patch(ctx, o, back)
		}}).Build()
	everything := Everything{Client: c, Live: c}
	if err := everything.Release(t.Context()); err == nil {
		t.Error("a pod whose mark was put back counts as released")
	}
	heals = false
	if err := everything.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	var found corev1.Pod
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(pod), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Spec.SchedulingGates) > 0 || found.Annotations[v1alpha1.HoldAnnotation] != "" {
		t.Errorf("gates %v, annotations %v", found.Spec.SchedulingGates, found.Annotations)
	}
}

func phaseOf(object client.Object) corev1.PodPhase {
	pod, isPod := object.(*corev1.Pod)
	if !isPod {
		return ""
	}
	return pod.Status.Phase
}
