// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

var airlockImage = "registry.lab.example/airlock@sha256:" + strings.Repeat("ef", 32)

// withInit puts init containers before all others, as the injection does.
func withInit(pod *corev1.Pod, containers ...corev1.Container) *corev1.Pod {
	pod.Spec.InitContainers = slices.Concat(containers, pod.Spec.InitContainers)
	return pod
}

func TestTheAirlockOfABarePodIsNotJudged(t *testing.T) {
	sidecar, redirect := corev1.Container{Name: "airlock", Image: airlockImage}, corev1.Container{Name: "airlock-redirect", Image: airlockImage}
	facts := newImages()
	for name, age := range map[string]func(){
		"unknown": func() {},
		"stale":   func() { facts.facts[airlockImage] = facts.facts[staleImage] },
	} {
		t.Run(name, func(t *testing.T) {
			age()
			gate := gateWith(facts, workload("lis"))
			gate.Airlock = airlockImage
			got := send(t, gate, create(t, "Pod", withInit(pod(freshImage), sidecar, redirect)))
			if !got.allowed || len(got.warnings) > 0 {
				t.Fatalf("the pod is refused or warned about: %+v", got)
			}
			if admissions := got.admissions(); len(admissions) != 1 || admissions[freshImage] != v1alpha1.AdmittedFresh {
				t.Errorf("admitted are %v, want %s alone", admissions, freshImage)
			}
			if slices.Contains(facts.asked(), airlockImage) {
				t.Error("the registry is asked about airlock")
			}
		})
	}
}

func TestTheAirlockOfABarePodHoldsNothing(t *testing.T) {
	gate := gateWith(newImages(), workload("lis", holdOnly))
	gate.Airlock = airlockImage
	got := send(t, gate, create(t, "Pod", withInit(pod(freshImage), corev1.Container{Name: "airlock", Image: airlockImage})))
	if !got.allowed || len(got.admissions()) != 1 {
		t.Errorf("the pod is held or refused: %+v", got)
	}
}

func TestWhatIsOnlyCalledAirlockIsJudged(t *testing.T) {
	tests := map[string]*corev1.Pod{
		"another image":        withInit(pod(freshImage), corev1.Container{Name: "airlock", Image: staleImage}),
		"another name":         withInit(pod(freshImage), corev1.Container{Name: "helper", Image: airlockImage}),
		"no init container":    pod(freshImage),
		"an application's own": withInit(pod(airlockImage), corev1.Container{Name: "airlock", Image: airlockImage}),
	}
	tests["no init container"].Spec.Containers = append(tests["no init container"].Spec.Containers, corev1.Container{Name: "airlock", Image: airlockImage})
	for name, object := range tests {
		t.Run(name, func(t *testing.T) {
			gate := gateWith(newImages(), workload("lis"))
			gate.Airlock = airlockImage
			if got := send(t, gate, create(t, "Pod", object)); got.allowed {
				t.Errorf("the pod is let in: %+v", got)
			}
		})
	}
	t.Run("a template", func(t *testing.T) {
		object, _ := kinds["Deployment"](freshImage).(*appsv1.Deployment)
		object.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "airlock", Image: airlockImage}}
		gate := gateWith(newImages(), workload("lis"))
		gate.Airlock = airlockImage
		if got := send(t, gate, create(t, "Deployment", object)); got.allowed {
			t.Errorf("the Deployment is let in: %+v", got)
		}
	})
	t.Run("no airlock is configured", func(t *testing.T) {
		if got := send(t, gateWith(newImages(), workload("lis")), create(t, "Pod", withInit(pod(freshImage), corev1.Container{Name: "airlock", Image: airlockImage}))); got.allowed {
			t.Errorf("the pod is let in: %+v", got)
		}
	})
}
