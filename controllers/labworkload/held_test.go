// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

const paused = `{"paused":null}`

func marked(object client.Object, mark string) client.Object {
	object.SetAnnotations(map[string]string{v1alpha1.HoldAnnotation: mark})
	return object
}

func replicaSet(name, image string) *appsv1.ReplicaSet {
	return controlled(&appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name, UID: types.UID(name)},
		Spec:       appsv1.ReplicaSetSpec{Template: deployment("", image).Spec.Template},
	}, "Deployment", "lis")
}

func podOf(replicaSet, image string) *corev1.Pod {
	return controlled(pod(replicaSet+"-x", image, "", "arm"), "ReplicaSet", replicaSet)
}

func TestAHeldRolloutIsReportedAndNotWhatItDeclares(t *testing.T) {
	const running, wanted = "registry.example/lis:1", "registry.example/lis:2"
	images := map[string]posture.ImageFacts{running: build("1a", 10*day), wanted: build("2b", 100*day)}
	objects := []client.Object{marked(deployment("lis", wanted), paused), replicaSet("lis-1", running), podOf("lis-1", running)}
	s := scopeOf(t, objects...)
	since := metav1.NewTime(today.Add(-day).Truncate(1e9))
	s.records = []v1alpha1.RolloutRecord{{
		ObjectMeta: metav1.ObjectMeta{Name: "deployment-lis"},
		Spec: v1alpha1.RolloutRecordSpec{
			Admitted: []v1alpha1.AdmittedImage{{Reference: running, Reason: v1alpha1.AdmittedFresh, Time: since}}, Held: &v1alpha1.Hold{Since: since},
		},
	}}
	got := statusOf(reconcilerWith(&library{images: images}), s)
	want := []v1alpha1.HeldRollout{{Kind: "Deployment", Name: "lis", Reason: v1alpha1.ReasonRolloutHeld, Images: []string{wanted}, Since: &since}}
	if diff := cmp.Diff(want, got.Held); diff != "" || got.HeldCount != 1 {
		t.Errorf("%d held (-want +got):\n%s", got.HeldCount, diff)
	}
	if len(got.Images) != 1 || got.Images[0].Reference != running || got.Images[0].Answer != posture.ImageFresh || got.Images[0].Pods != 1 {
		t.Errorf("images are %+v, want what runs alone", got.Images)
	}
}

func TestOnlyAMarkOfAHoldHolds(t *testing.T) {
	other := deployment("other", lis)
	other.Spec.Template.Labels = map[string]string{"app": "other"}
	going := deployment("going", lis)
	going.DeletionTimestamp, going.Finalizers = &metav1.Time{Time: today}, []string{"test"}
	for name, test := range map[string]struct {
		object client.Object
		held   int32
	}{
		"a hold":                             {marked(deployment("lis", lis), paused), 1},
		"a hold of a bare pod":               {marked(pod("lis", lis, "", ""), "{}"), 1},
		"not a canary":                       {marked(deployment("lis", lis), posture.CanaryMark("7")), 0},
		"not one that nobody governs":        {marked(other, paused), 0},
		"not one that is going":              {marked(going, paused), 0},
		"not one without a mark":             {deployment("lis", lis), 0},
		"nor the pod of one that has a mark": {marked(podOf("lis-1", lis), paused), 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := statusOf(reconcilerWith(&library{}), scopeOf(t, test.object)).HeldCount; got != test.held {
				t.Errorf("%d held, want %d", got, test.held)
			}
		})
	}
}

func TestAHoldInTheMiddleOfARolloutIsSaid(t *testing.T) {
	const first, second, third = "registry.example/lis:1", "registry.example/lis:2", "registry.example/lis:3"
	resting := deployment("lis", third)
	resting.Spec.Replicas = ptr.To[int32](0)
	for name, test := range map[string]struct {
		objects []client.Object
		want    string
	}{
		"two of its ReplicaSets have pods": {
			[]client.Object{deployment("lis", third), replicaSet("lis-1", first), podOf("lis-1", first), replicaSet("lis-2", second), podOf("lis-2", second)},
			v1alpha1.ReasonHeldMidRollout,
		},
		"none has, as with Recreate": {[]client.Object{deployment("lis", third), replicaSet("lis-1", first)}, v1alpha1.ReasonHeldMidRollout},
		"one has": {
			[]client.Object{deployment("lis", third), replicaSet("lis-1", first), replicaSet("lis-2", second), podOf("lis-2", second)}, v1alpha1.ReasonRolloutHeld,
		},
		"it is new":                     {[]client.Object{deployment("lis", third)}, v1alpha1.ReasonRolloutHeld},
		"it is to have no pods":         {[]client.Object{resting, replicaSet("lis-1", first)}, v1alpha1.ReasonRolloutHeld},
		"the other pods are of another": {[]client.Object{deployment("lis", third), replicaSet("lis-1", first), podOf("lis-1", first), pod("bare", first, "", "")}, v1alpha1.ReasonRolloutHeld},
	} {
		t.Run(name, func(t *testing.T) {
			marked(test.objects[0], paused)
			got := statusOf(reconcilerWith(&library{}), scopeOf(t, test.objects...)).Held
			if len(got) != 1 || got[0].Reason != test.want {
				t.Errorf("got %+v, want %s", got, test.want)
			}
		})
	}
}

func TestAPodThatWaitsAtTheGateRunsNothing(t *testing.T) {
	gated := pod("lis", lis, "", "")
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.SchedulingGate}}
	if got := statusOf(reconcilerWith(&library{}), scopeOf(t, gated)); len(got.Images) != 0 {
		t.Errorf("images are %+v", got.Images)
	}
	gated.Spec.SchedulingGates[0].Name = "example.com/quota"
	if got := statusOf(reconcilerWith(&library{}), scopeOf(t, gated)); len(got.Images) != 1 {
		t.Errorf("a pod that waits for others is not reported: %+v", got.Images)
	}
}

func TestManyHeldRolloutsAreSortedAndCut(t *testing.T) {
	var objects []client.Object
	for i := range 23 {
		objects = append(objects, marked(deployment(fmt.Sprintf("lis-%02d", 22-i), lis), paused))
	}
	got := statusOf(reconcilerWith(&library{}), scopeOf(t, objects...))
	if len(got.Held) != maxHeld || got.HeldCount != 23 || got.Held[0].Name != "lis-00" || got.Held[19].Name != "lis-19" {
		t.Errorf("%d of %d, from %s", len(got.Held), got.HeldCount, got.Held[0].Name)
	}
}
