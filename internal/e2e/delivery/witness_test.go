// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
)

// witness watches the pods of a namespace, and remembers everything but that they run on.
type witness struct {
	mu        sync.Mutex
	namespace string
	// apps are what the names of its pods begin with.
	apps []string
	// first are the pods that were there at the beginning, complaints what happened since.
	first      map[types.UID]string
	complaints []string
	changes    int
	begun      bool
	since      time.Time
}

// watch has a witness look at the pods of a namespace until the test ends. There is one for each of apps.
func watch(t *testing.T, clients kubernetes.Interface, namespace string, apps ...string) *witness {
	t.Helper()
	slices.Sort(apps)
	w := &witness{namespace: namespace, apps: apps, first: map[types.UID]string{}}
	factory := informers.NewSharedInformerFactoryWithOptions(clients, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Pods().Informer()
	registered, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { w.see(object.(*corev1.Pod), false) },
		UpdateFunc: func(_, object any) { w.see(object.(*corev1.Pod), false) },
		DeleteFunc: func(object any) {
			if last, missed := object.(cache.DeletedFinalStateUnknown); missed {
				object = last.Obj
			}
			w.see(object.(*corev1.Pod), true)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.StartWithContext(t.Context())
	if !cache.WaitForCacheSync(t.Context().Done(), registered.HasSynced) {
		t.Fatal("the watch of pods did not begin")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun, w.since, w.changes = true, time.Now(), 0
	return w
}

func (w *witness) see(pod *corev1.Pod, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes++
	if !w.begun {
		w.first[pod.UID] = pod.Name
	}
	if _, known := w.first[pod.UID]; !known {
		w.complain("pod %s came", pod.Name)
	}
	if gone || pod.DeletionTimestamp != nil {
		w.complain("pod %s went", pod.Name)
	}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.RestartCount > 0 {
			w.complain("container %s of pod %s restarted: %+v", status.Name, pod.Name, status.LastTerminationState)
		}
	}
}

func (w *witness) complain(format string, values ...any) {
	if text := fmt.Sprintf(format, values...); !slices.Contains(w.complaints, text) {
		w.complaints = append(w.complaints, text)
	}
}

// vouch fails the test if a pod was restarted, replaced or added since the beginning.
func (w *witness) vouch(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var apps []string
	for _, pod := range w.first {
		app, _, _ := strings.Cut(pod, "-")
		apps = append(apps, app)
	}
	slices.Sort(apps)
	if !slices.Equal(apps, w.apps) {
		t.Errorf("the pods of %s at the beginning are of %v, and should be of %v", w.namespace, apps, w.apps)
	}
	for _, complaint := range w.complaints {
		t.Errorf("%s: %s", w.namespace, complaint)
	}
	t.Logf("%s: the same %d pods since %s; restarts, deletions and additions: %d; changes of status seen: %d",
		w.namespace, len(w.first), w.since.Format(time.TimeOnly), len(w.complaints), w.changes)
	w.complaints = nil
}

func TestWitnessRemembersWhatHappensToPods(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "lis-1", UID: "1"}}
	clients := fake.NewClientset(pod)
	w := watch(t, clients, "lab", "lis")
	pods := clients.CoreV1().Pods("lab")
	another := pod.DeepCopy()
	another.Name, another.UID = "lis-2", "2"
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "airlock", RestartCount: 1}}
	_, updated := pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	_, created := pods.Create(t.Context(), another, metav1.CreateOptions{})
	if err := errors.Join(updated, created, pods.Delete(t.Context(), pod.Name, metav1.DeleteOptions{})); err != nil {
		t.Fatal(err)
	}
	wanted := []string{"container airlock of pod lis-1 restarted", "pod lis-2 came", "pod lis-1 went"}
	err := wait.PollUntilContextTimeout(t.Context(), pollEvery, patience, true, func(context.Context) (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !slices.ContainsFunc(wanted, func(one string) bool { return !strings.Contains(strings.Join(w.complaints, "\n"), one) }), nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.first["1"] != "lis-1" {
		t.Errorf("at the beginning there was %v; it complains about %q, and should about %q", w.first, w.complaints, wanted)
	}
}
