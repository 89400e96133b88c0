// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

func TestTheReportLeavesOutAirlockByItsImage(t *testing.T) {
	const configured, before, fake = "registry.example/airlock@sha256:2", "registry.example/airlock@sha256:1", "registry.example/mine@sha256:3"
	labelled := map[string]string{"app": app["app"], v1alpha1.WorkloadLabel: "lis"}
	injected := func(name, image string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name, UID: types.UID(name), Labels: labelled},
			Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{{Name: "airlock", Image: image}}, Containers: []corev1.Container{{Name: "app", Image: "registry.example/lis:1"}},
			},
		}
	}
	s := scopeOf(t, injected("new", configured), injected("old", before), injected("own", fake))
	s.sidecar.profiles = map[types.NamespacedName]*v1alpha1.AirlockProfile{
		{Namespace: "pathology", Name: "lis"}: {Spec: v1alpha1.AirlockProfileSpec{Current: v1alpha1.AirlockRevision{Image: configured}, Known: []v1alpha1.AirlockRevision{{Image: before}}}},
		{Namespace: "radiology", Name: "lis"}: {Spec: v1alpha1.AirlockProfileSpec{Current: v1alpha1.AirlockRevision{Image: fake}}},
	}
	r := reconcilerWith(&library{})
	r.Sidecars.Image = configured
	var reported []string
	for _, image := range statusOf(r, s).Images {
		reported = append(reported, image.Reference)
	}
	slices.Sort(reported)
	if want := []string{"registry.example/lis:1", fake}; !slices.Equal(reported, want) {
		t.Errorf("reported are %v, want %v", reported, want)
	}
}

func TestTheNamesOfAirlockAreThoseThatAreLeftOut(t *testing.T) {
	images := []posture.TemplateImage{{Container: transit.ContainerName, Reference: "a", Init: true}, {Container: transit.RedirectContainerName, Reference: "a", Init: true}}
	if left := posture.WithoutAirlock(images, "a"); len(left) != 0 {
		t.Errorf("%v stays", left)
	}
}
