// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// restore takes a backup of the objects of the workload's namespace, deletes the namespace, and creates everything anew: records first, then the
// LabWorkload, then the workload, as the documentation says.
func (w *walk) restore() {
	w.Helper()
	gvk, err := apiutil.GVKForObject(w.object, w.Scheme())
	if err != nil {
		w.Fatal(err)
	}
	records := w.backUp(v1alpha1.GroupVersion.WithKind("RolloutRecord"))
	workloads := w.backUp(v1alpha1.GroupVersion.WithKind("LabWorkload"))
	objects := w.backUp(gvk)
	if len(records) == 0 || len(workloads) != 1 || len(objects) == 0 {
		w.Fatalf("the backup has %d records, %d LabWorkloads, %d objects", len(records), len(workloads), len(objects))
	}
	w.recreateNamespace()
	w.createAll(records)
	w.createAll(workloads)
	w.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "")
	w.protect()
	w.createAll(objects)
}

// backUp are all objects of a kind that no controller owns, without what the API server gives them.
func (l *lab) backUp(gvk schema.GroupVersionKind) []unstructured.Unstructured {
	l.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err := l.List(l.Context(), list, client.InNamespace(l.namespace)); err != nil {
		l.Fatalf("back up %s: %v", gvk.Kind, err)
	}
	var kept []unstructured.Unstructured
	for i := range list.Items {
		object := list.Items[i]
		if metav1.GetControllerOf(&object) != nil {
			continue
		}
		object.SetResourceVersion("")
		object.SetUID("")
		object.SetManagedFields(nil)
		unstructured.RemoveNestedField(object.Object, "status")
		switch gvk.Kind {
		case "Pod":
			unstructured.RemoveNestedField(object.Object, "spec", "nodeName")
		case "Job": // as backup tools do: the API server gives each Job a selector of its own
			unstructured.RemoveNestedField(object.Object, "spec", "selector")
			for _, label := range []string{"controller-uid", "batch.kubernetes.io/controller-uid"} {
				unstructured.RemoveNestedField(object.Object, "metadata", "labels", label)
				unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "labels", label)
			}
		}
		kept = append(kept, object)
	}
	return kept
}

func (l *lab) createAll(objects []unstructured.Unstructured) {
	l.Helper()
	for i := range objects {
		if err := l.Create(l.Context(), &objects[i]); err != nil {
			l.Fatalf("restore %s %s: %v", objects[i].GetKind(), objects[i].GetName(), err)
		}
	}
}

// recreateNamespace deletes the namespace with everything in it and makes an empty one of the same name.
func (l *lab) recreateNamespace() {
	l.Helper()
	named := func() *corev1.Namespace { return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.namespace}} }
	if err := l.Delete(l.Context(), named()); err != nil {
		l.Fatalf("delete the namespace: %v", err)
	}
	operator.Eventually(l, "the namespace is gone", func() error {
		found := named()
		if err := l.Get(l.Context(), client.ObjectKeyFromObject(found), found); !apierrors.IsNotFound(err) {
			return errors.Join(fmt.Errorf("it is there: %+v", found.Status), err)
		}
		return nil
	})
	if err := l.Create(l.Context(), named()); err != nil {
		l.Fatalf("create the namespace: %v", err)
	}
	operator.Eventually(l, "the namespace has its ServiceAccount", func() error {
		return l.Get(context.WithoutCancel(l.Context()), client.ObjectKey{Namespace: l.namespace, Name: "default"}, &corev1.ServiceAccount{})
	})
	l.admit()
}
