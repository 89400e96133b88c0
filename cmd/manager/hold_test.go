// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const heldPartition = 2147483647

// brakeIsOn says whether the field that holds an object of a kind has the value that holds.
func brakeIsOn(object client.Object) bool {
	ours := func(gate corev1.PodSchedulingGate) bool { return gate.Name == v1alpha1.SchedulingGate }
	switch o := object.(type) {
	case *appsv1.Deployment:
		return o.Spec.Paused
	case *appsv1.StatefulSet:
		rolling := o.Spec.UpdateStrategy.RollingUpdate
		return rolling != nil && rolling.Partition != nil && *rolling.Partition == heldPartition || slices.ContainsFunc(o.Spec.Template.Spec.SchedulingGates, ours)
	case *appsv1.DaemonSet:
		return slices.ContainsFunc(o.Spec.Template.Spec.SchedulingGates, ours)
	case *batchv1.Job:
		return o.Spec.Suspend != nil && *o.Spec.Suspend
	case *batchv1.CronJob:
		return o.Spec.Suspend != nil && *o.Spec.Suspend
	case *corev1.Pod:
		return slices.ContainsFunc(o.Spec.SchedulingGates, ours)
	default:
		return false
	}
}

// held fails the test unless an object is held, and its marker says what to give back.
func (w *walk) held(app, marker string) {
	w.Helper()
	object := w.empty()
	if err := w.get(app, object); err != nil {
		w.Fatal(err)
	}
	var got, want any
	if err := errors.Join(json.Unmarshal([]byte(object.GetAnnotations()[v1alpha1.HoldAnnotation]), &got), json.Unmarshal([]byte(marker), &want)); err != nil {
		w.Fatalf("%s %s is not marked as held: %v", w.name, app, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s %s: the marker of the hold (-want +got):\n%s", w.name, app, diff)
	}
	if !brakeIsOn(object) {
		w.Errorf("%s %s is marked as held and rolls out", w.name, app)
	}
}

// free waits until an object is not held.
func (w *walk) free(app string) {
	w.Helper()
	operator.Eventually(w, w.name+" "+app+" is free", func() error {
		object := w.empty()
		if err := w.get(app, object); err != nil {
			return err
		}
		if mark, marked := object.GetAnnotations()[v1alpha1.HoldAnnotation]; marked || brakeIsOn(object) {
			return fmt.Errorf("it is held: marker %s, brake on: %t", mark, brakeIsOn(object))
		}
		return nil
	})
}

// recordedHold waits until the record of an object says that it is held, and for which image.
func (w *walk) recordedHold(app, image string) {
	w.Helper()
	operator.Eventually(w, "record "+w.record(app)+" says that it is held", func() error {
		record := &v1alpha1.RolloutRecord{}
		if err := w.get(w.record(app), record); err != nil {
			return err
		}
		if record.Spec.Held == nil || !slices.Contains(record.Spec.Held.Images, image) {
			return fmt.Errorf("it says %+v", record.Spec.Held)
		}
		return nil
	})
}

// staysHeld does to a held workload what people and autoscalers do.
func (w *walk) staysHeld(stale string) {
	w.Helper()
	w.held("lis", w.holds)
	w.recordedHold("lis", stale)
	w.undisturbed("it is labelled while it is held", func() { w.may("label", w.name, "lis", "stage=held") })
	w.undisturbed("its configuration is changed while it is held", func() { w.may("set", "env", w.name+"/lis", "STAGE=held") })
	if w.name == "deployment" {
		w.undisturbed("somebody resumes it while it is held", func() { w.may("patch", "deployment", "lis", "-p", `{"spec":{"paused":false}}`) })
	}
	w.undisturbed("it is scaled while it is held", func() { w.may("scale", w.name+"/lis", "--replicas="+strconv.Itoa(w.replicas+1)) })
	w.serves(w.replicas + 1)
	for _, pod := range w.serving("lis") {
		if pod.Spec.Containers[0].Image == stale {
			w.Errorf("pod %s runs the held image", pod.Name)
		}
	}
	w.may("scale", w.name+"/lis", "--replicas="+strconv.Itoa(w.replicas))
	w.serves(w.replicas)
	w.held("lis", w.holds)
	w.ward.mark(w.T, w.replicas)
	w.may("delete", "pod", w.serving("lis")[0].Name)
	w.serves(w.replicas)
	for _, pod := range w.live("lis") {
		if pod.Spec.Containers[0].Image == stale {
			w.Errorf("pod %s came back with the held image", pod.Name)
		}
	}
}

// serves waits until so many pods of the workload serve, whatever has been declared.
func (w *walk) serves(replicas int) {
	w.Helper()
	operator.Eventually(w, fmt.Sprintf("%d pods serve", replicas), func() error {
		if serving := w.serving("lis"); len(serving) != replicas || len(w.pods("lis")) != replicas {
			return fmt.Errorf("%d of %d do", len(serving), len(w.pods("lis")))
		}
		return nil
	})
}

// createStale creates a second object of the kind with a stale image. It is held, and starts by itself when the same tag was built anew. A hook, whose
// tool would wait for it, is refused.
func (w *walk) createStale(clock *jumpingClock) {
	w.Helper()
	tag := "walk/" + w.namespace + ":new"
	stale := clock.push(w, tag, 100*day)
	hook := strings.Replace(w.manifest("hook", stale), "metadata: {", "metadata: {annotations: {helm.sh/hook: post-install}, ", 1)
	w.undisturbed("a hook is refused", func() { w.mayNot("it is a hook (helm.sh/hook)", "create", "-f", w.file(hook)) })
	w.undisturbed("a new one is held", func() { w.may("create", "-f", w.file(w.manifest("new", stale))) })
	w.held("new", w.holdsNew)
	w.recordedHold("new", stale)
	w.waitsFor("new")
	clock.push(w, tag, time.Hour)
	w.free("new")
	w.admitted(w.record("new"), stale)
	if w.name == "cronjob" {
		return // its next tick is up to a minute away
	}
	operator.Eventually(w, "the new one serves", func() error {
		if serving := w.serving("new"); len(serving) != w.replicas || len(w.pods("new")) != w.replicas {
			return fmt.Errorf("%d of %d pods do", len(serving), len(w.pods("new")))
		}
		return nil
	})
}

// waitsFor waits until the controller of a new object has seen it, and fails if a pod of it runs.
func (w *walk) waitsFor(app string) {
	w.Helper()
	operator.Eventually(w, w.name+" "+app+" is seen", func() error {
		object := w.empty()
		if err := w.get(app, object); err != nil {
			return err
		}
		if seen, keeps := observedGeneration(object); keeps && seen != object.GetGeneration() {
			return errors.New("it is not")
		}
		return nil
	})
	for _, pod := range w.pods(app) {
		if pod.Spec.NodeName != "" || pod.Status.Phase != corev1.PodPending {
			w.Errorf("pod %s of what is held is %s on %q", pod.Name, pod.Status.Phase, pod.Spec.NodeName)
		}
	}
}
