// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// admit writes the references into the annotation as labguard does, before the gate is there.
func (l lab) admit(k kind, name string, references ...string) {
	l.Helper()
	l.Must(l.patch("", k, name, annotated(fmt.Sprintf(`"labguard.dev/admitted":%q`, strings.Join(references, " ")))))
}

// admitted is the annotation now.
func (l lab) admitted(k kind, name string) string {
	l.Helper()
	return l.get(k, name).GetAnnotations()["labguard.dev/admitted"]
}

func TestRollbackNeedsNoLabguard(t *testing.T) {
	l := newLab(t)
	for _, k := range changeable {
		l.Must(l.kubectl("apply", "-f", l.file(k.object("app-"+k.Resource, imageOne))))
	}
	l.awaitChildren(replicaSets, "app-deployments", 1)
	for _, k := range changeable {
		l.Must(l.kubectl("apply", "-f", l.file(k.object("app-"+k.Resource, imageTwo))))
		l.admit(k, "app-"+k.Resource, imageOne, imageTwo)
	}
	l.awaitChildren(replicaSets, "app-deployments", 2)
	l.protect()
	l.kill()
	// becomes fails the test unless the write passed, the image is there and the annotation is what it was.
	becomes := func(l lab, k kind, image string, err error) {
		l.Helper()
		l.Passes(err)
		if got := l.image(k, "app-"+k.Resource); got != image {
			l.Errorf("the image is %s, want %s", got, image)
		}
		if got, want := l.admitted(k, "app-"+k.Resource), imageOne+" "+imageTwo; got != want {
			l.Errorf("the annotation is %q, want %q", got, want)
		}
	}
	for _, k := range []kind{deployments, statefulSets, daemonSets} {
		t.Run("undo of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			becomes(l, k, imageOne, l.kubectl("rollout", "undo", k.Resource+"/app-"+k.Resource))
			becomes(l, k, imageTwo, l.kubectl("rollout", "undo", k.Resource+"/app-"+k.Resource))
		})
	}
	for _, k := range changeable {
		name := "app-" + k.Resource
		t.Run("Git revert of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			becomes(l, k, imageOne, l.kubectl("apply", "-f", l.file(k.object(name, imageOne))))
		})
		t.Run("replace without annotations of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			becomes(l, k, imageTwo, l.kubectl("replace", "-f", l.file(k.object(name, imageTwo))))
		})
		t.Run("other images of "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.asked(l.patch(l.Tenant, k, name, k.withImage(imageThree)))
			l.asked(l.kubectl("replace", "-f", l.file(k.object(name, imageThree))))
			l.asked(l.patch(l.Tenant, k, name, k.at(`{"initContainers":[{"name":"first","image":"registry.example/init:1"}]}`)))
			l.asked(l.patch(l.Tenant, k, name, k.at(`{"volumes":[{"name":"code","image":{"reference":"registry.example/code:1"}}]}`)))
			// A part of a reference is none.
			l.asked(l.patch(l.Tenant, k, name, k.withImage("registry.example/app")))
		})
		t.Run("admitted image elsewhere in "+k.kind, func(t *testing.T) {
			l := l.in(t)
			l.Passes(l.patch(l.Tenant, k, name, k.at(fmt.Sprintf(`{"initContainers":[{"name":"first","image":%q}]}`, imageOne))))
			l.Passes(l.patch(l.Tenant, k, name, k.at(fmt.Sprintf(`{"volumes":[{"name":"code","image":{"reference":%q}}]}`, imageOne))))
		})
	}
}

func TestRollbackWithoutAnnotationNeedsLabguard(t *testing.T) {
	l := newLab(t)
	for _, k := range changeable {
		l.Must(l.create(l.Tenant, k, k.object("app-"+k.Resource, imageOne)))
	}
	l.awaitChildren(replicaSets, "app-deployments", 1)
	for _, k := range changeable {
		l.Must(l.patch(l.Tenant, k, "app-"+k.Resource, k.withImage(imageTwo)))
	}
	l.awaitChildren(replicaSets, "app-deployments", 2)
	l.protect()
	l.kill()
	l.asked(l.kubectl("rollout", "undo", "deployment/app-deployments"))
	for _, k := range changeable {
		l.asked(l.patch(l.Tenant, k, "app-"+k.Resource, k.withImage(imageOne)))
	}
}

func TestBarePodAlwaysNeedsLabguardForAnotherImage(t *testing.T) {
	l := newLab(t)
	l.Must(l.create(l.Tenant, pods, pods.object("bare", imageOne)))
	l.admit(pods, "bare", imageOne, imageTwo)
	l.protect()
	l.kill()
	l.asked(l.patch(l.Tenant, pods, "bare", pods.withImage(imageTwo)))
}

func TestTemplateWithoutImageIsNotAdmittedByAnEmptyAnnotation(t *testing.T) {
	l := newLab(t)
	l.Must(l.create(l.Tenant, deployments, deployments.object("app", imageOne)))
	l.admit(deployments, "app", "")
	l.protect()
	l.kill()
	object := l.get(deployments, "app")
	containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
	l.Must(err)
	delete(containers[0].(map[string]any), "image")
	l.Must(unstructured.SetNestedSlice(object.Object, containers, "spec", "template", "spec", "containers"))
	l.asked(l.kubectl("replace", "-f", l.file(object)))
}
