// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// marks are the annotations that only labguard writes.
var marks = []string{"labguard.dev/admitted", "labguard.dev/admissions", "labguard.dev/hold"}

// forgery has every mark.
func forgery() map[string]string {
	return map[string]string{marks[0]: "forged", marks[1]: "forged", marks[2]: ""}
}

// forged is the inside of a merge patch with every mark.
const forged = `"labguard.dev/admitted":"forged","labguard.dev/admissions":"forged","labguard.dev/hold":""`

// clean fails the test if the object has a mark.
func (l lab) clean(object *unstructured.Unstructured) {
	l.Helper()
	for _, mark := range marks {
		if value, there := object.GetAnnotations()[mark]; there {
			l.Errorf("%s %s has the annotation %s: %q", object.GetKind(), object.GetName(), mark, value)
		}
	}
}

// marked fails the test unless the object has labguard's own marks.
func (l lab) marked(object *unstructured.Unstructured) {
	l.Helper()
	for _, mark := range marks {
		if got := object.GetAnnotations()[mark]; got != "real" {
			l.Errorf("%s %s has %q for the annotation %s, want what labguard wrote", object.GetKind(), object.GetName(), got, mark)
		}
	}
}

func TestMarksOfATenantAreStripped(t *testing.T) {
	l := newLab(t)
	l.protect()
	for _, k := range allKinds {
		t.Run(k.kind, func(t *testing.T) {
			l, name := l.in(t), "app-"+k.Resource
			object := k.object(name, imageOne)
			object.SetAnnotations(forgery())
			l.Passes(l.create(l.Tenant, k, object))
			l.clean(l.get(k, name))
			l.Passes(l.patch(l.Tenant, k, name, annotated(forged)))
			l.clean(l.get(k, name))
			l.Passes(l.patch(l.Tenant, k, name, annotated(forged+`,"note":"kept"`)))
			l.clean(l.get(k, name))
			if l.get(k, name).GetAnnotations()["note"] != "kept" {
				t.Error("another annotation of the same write is lost")
			}
		})
	}
}

func TestMarksOfLabguardSurviveEverybodyElse(t *testing.T) {
	l := newLab(t)
	l.protect()
	l.Bind("edit", tenancy.Labguard)
	for _, k := range allKinds {
		t.Run(k.kind, func(t *testing.T) {
			l, name := l.in(t), "app-"+k.Resource
			l.Must(l.kubectl("apply", "-f", l.file(k.object(name, imageOne))))
			l.Must(l.patch(tenancy.Labguard, k, name, annotated(strings.ReplaceAll(strings.ReplaceAll(forged, `""`, `"real"`), "forged", "real"))))
			l.marked(l.get(k, name))
			l.Passes(l.patch(l.Tenant, k, name, annotated(forged)))
			l.marked(l.get(k, name))
			l.Passes(l.patch(l.Tenant, k, name, `{"metadata":{"annotations":null}}`))
			l.marked(l.get(k, name))
			if k.kind != jobs.kind && k.kind != pods.kind { // their defaulted fields cannot be replaced by nothing
				l.Passes(l.kubectl("replace", "-f", l.file(k.object(name, imageOne))))
				l.marked(l.get(k, name))
			}
			l.Passes(l.patch(tenancy.Labguard, k, name, `{"metadata":{"annotations":null}}`))
			l.clean(l.get(k, name))
		})
	}
}

func TestForgedMarkAndItsImageInOneWriteAreAskedAbout(t *testing.T) {
	l := newLab(t)
	for _, k := range changeable {
		l.Must(l.create(l.Tenant, k, k.object("app-"+k.Resource, imageOne)))
	}
	l.protect()
	l.kill()
	for _, k := range changeable {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"labguard.dev/admitted":%q}},%s`, imageTwo, k.withImage(imageTwo)[1:])
		l.asked(l.patch(l.Tenant, k, "app-"+k.Resource, patch))
		l.Passes(l.patch(l.Tenant, k, "app-"+k.Resource, annotated(fmt.Sprintf(`"labguard.dev/admitted":%q`, imageTwo))))
		l.asked(l.patch(l.Tenant, k, "app-"+k.Resource, k.withImage(imageTwo)))
	}
}

// The API server keeps the spec of a write to a status, and takes its annotations.
func TestMarksAreNotForgedThroughAStatusOrABinding(t *testing.T) {
	l := newLab(t)
	l.protect()
	l.Bind("cluster-admin", l.Tenant) // everything in the namespace, subresources included
	for _, k := range allKinds {
		t.Run(k.kind, func(t *testing.T) {
			l, name := l.in(t), "app-"+k.Resource
			l.Must(l.create(l.Tenant, k, k.object(name, imageOne)))
			l.Passes(l.patch(l.Tenant, k, name, annotated(forged+`,"note":"kept"`), "status"))
			object := l.get(k, name)
			l.clean(object)
			if object.GetAnnotations()["note"] != "kept" {
				t.Error("a status no longer carries annotations: the rule for it can go")
			}
		})
	}
	t.Run("Binding", func(t *testing.T) {
		l := l.in(t)
		binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "app-pods", Annotations: forgery()}, Target: corev1.ObjectReference{Kind: "Node", Name: "none"}}
		binding.Annotations["bound"] = "kept"
		l.Passes(l.Typed(l.Tenant).CoreV1().Pods(l.Namespace).Bind(l.Context(), binding, metav1.CreateOptions{}))
		object := l.get(pods, "app-pods")
		l.clean(object)
		if object.GetAnnotations()["bound"] != "kept" {
			t.Error("a binding no longer carries annotations: the rule for it can go")
		}
	})
}

func TestMarksInATemplateNeverReachItsPods(t *testing.T) {
	l := newLab(t)
	l.protect()
	const note = "note"
	for _, k := range []kind{deployments, statefulSets, replicaSets, controllers, jobs, cronJobs} {
		t.Run(k.kind, func(t *testing.T) {
			l, name := l.in(t), "app-"+k.Resource
			object := k.object(name, imageOne)
			annotations := forgery()
			annotations[note] = "kept"
			template := append(append([]string{}, k.path[:len(k.path)-1]...), "metadata")
			if k.kind == cronJobs.kind { // the Job's own metadata; its pods come from a Job as any other
				template = []string{"spec", "jobTemplate", "metadata"}
			}
			l.Must(unstructured.SetNestedStringMap(object.Object, annotations, append(template, "annotations")...))
			l.Must(unstructured.SetNestedStringMap(object.Object, map[string]string{"app": name}, append(template, "labels")...))
			l.Must(l.create(l.Tenant, k, object))
			made := pods
			if k.kind == cronJobs.kind {
				made = jobs
				tick := jobs.object("tick", imageOne)
				tick.SetLabels(map[string]string{"app": name})
				tick.SetAnnotations(annotations)
				l.Must(l.create("system:serviceaccount:kube-system:cronjob-controller", jobs, ownedBy(tick, l.get(k, name))))
			}
			child := l.awaitChildren(made, name, 1)[0]
			l.clean(&child)
			if child.GetAnnotations()[note] != "kept" {
				t.Error("another annotation of the template is lost")
			}
		})
	}
}

func TestReplicaSetForgedByATenantIsCleanWhenOrphaned(t *testing.T) {
	l := newLab(t)
	l.protect()
	l.Must(l.create(l.Tenant, deployments, deployments.object("app", imageOne)))
	owned := l.awaitChildren(replicaSets, "app", 1)[0]
	owner := l.get(deployments, "app")
	l.Bind("cluster-admin", l.Tenant)
	for _, writer := range []string{
		l.Tenant, "system:serviceaccount:" + l.Namespace + ":default", "system:serviceaccount:flux-system:kustomize-controller",
	} {
		if writer != l.Tenant {
			l.Bind("cluster-admin", writer)
		}
		l.Passes(l.patch(writer, replicaSets, owned.GetName(), annotated(forged)))
		l.Passes(l.patch(writer, replicaSets, owned.GetName(), annotated(forged), "status"))
		l.clean(l.get(replicaSets, owned.GetName()))
	}
	made := replicaSets.object("made", imageOne)
	made.SetAnnotations(forgery())
	l.Passes(l.create(l.Tenant, replicaSets, ownedBy(made, owner)))
	l.clean(l.get(replicaSets, "made"))
	// An operator of another namespace passes for a copy of a Deployment's annotations only: any other owner may be the tenant's.
	operator := "system:serviceaccount:" + l.Namespace + "-system:operator"
	l.Bind("cluster-admin", operator)
	other := replicaSets.object("other", imageOne)
	other.SetAnnotations(forgery())
	l.Passes(l.create(operator, replicaSets, ownedBy(other, l.get(kind{GroupVersionResource: gvr("", "v1", "serviceaccounts")}, "default"))))
	l.clean(l.get(replicaSets, "other"))

	l.Must(l.kubectl("delete", "deployment", "app", "--cascade=orphan"))
	l.Eventually("the ReplicaSet has no owner", func(context.Context) (bool, error) {
		return len(l.get(replicaSets, owned.GetName()).GetOwnerReferences()) == 0, nil
	})
	l.clean(l.get(replicaSets, owned.GetName()))
}

func TestDeploymentControllerCopiesMarksOnceAndKeepsItsRevision(t *testing.T) {
	l := newLab(t)
	l.protect()
	l.Must(l.create(l.Tenant, deployments, deployments.object("app", imageOne)))
	set := l.awaitChildren(replicaSets, "app", 1)[0].GetName()
	l.Bind("edit", tenancy.Labguard)
	l.Must(l.patch(tenancy.Labguard, deployments, "app", annotated(fmt.Sprintf(`"labguard.dev/admitted":%q`, imageOne+" "+imageTwo))))
	settled := func(note string) {
		l.Helper()
		l.Eventually("the ReplicaSet has the annotations", func(context.Context) (bool, error) {
			annotations := l.get(replicaSets, set).GetAnnotations()
			return annotations["note"] == note && annotations["labguard.dev/admitted"] == imageOne+" "+imageTwo, nil
		})
	}
	l.Must(l.patch(l.Tenant, deployments, "app", annotated(`"note":"0"`)))
	settled("0")
	l.awaitChildren(pods, "app", 1)
	l.Eventually("the ReplicaSet is at rest", func(context.Context) (bool, error) {
		replicas, _, err := unstructured.NestedInt64(l.get(replicaSets, set).Object, "status", "replicas")
		return replicas == 1, err
	})
	const edits = 5
	writes := l.countWrites(set, func() {
		for i := 1; i <= edits; i++ {
			l.Must(l.patch(l.Tenant, deployments, "app", fmt.Sprintf(`{"metadata":{"labels":{"edit":"%d"}}}`, i)))
			// The controller writes this one through: once it is there, the controller has seen the label too.
			l.Must(l.patch(l.Tenant, deployments, "app", annotated(fmt.Sprintf(`"note":"%d"`, i))))
			settled(fmt.Sprint(i))
		}
	})
	if writes != edits {
		t.Errorf("%d edits of an annotation made %d writes of the ReplicaSet", edits, writes)
	}
	l.Must(l.patch(l.Tenant, deployments, "app", deployments.withImage(imageTwo)))
	l.Eventually("the Deployment is at its second revision", func(context.Context) (bool, error) {
		return l.get(deployments, "app").GetAnnotations()["deployment.kubernetes.io/revision"] == "2", nil
	})
	for _, replicaSet := range l.awaitChildren(replicaSets, "app", 2) {
		if got := replicaSet.GetAnnotations()["labguard.dev/admitted"]; got != imageOne+" "+imageTwo {
			t.Errorf("ReplicaSet %s has %q", replicaSet.GetName(), got)
		}
	}
}

// countWrites counts the changes of a ReplicaSet while do runs, up to a last one that it makes itself.
func (l lab) countWrites(name string, do func()) int {
	l.Helper()
	resource := l.dynamic("").Resource(replicaSets.GroupVersionResource).Namespace(l.Namespace)
	watched, err := resource.Watch(l.Context(), metav1.ListOptions{
		FieldSelector: "metadata.name=" + name, ResourceVersion: l.get(replicaSets, name).GetResourceVersion(),
	})
	l.Must(err)
	defer watched.Stop()
	do()
	l.Must(l.patch("", replicaSets, name, `{"metadata":{"labels":{"last":"write"}}}`))
	writes := 0
	for event := range watched.ResultChan() {
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok || event.Type != watch.Modified {
			l.Fatalf("unexpected event: %v", event)
		}
		if object.GetLabels()["last"] == "write" {
			return writes
		}
		writes++
	}
	l.Fatal("the watch ended")
	return 0
}
