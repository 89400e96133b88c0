// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/kubelet"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// TestImagesGoStaleWhileTheyRun follows one workload of each kind while its images go stale: whatever keeps it running goes on, and only an image that
// is new is stopped.
func TestImagesGoStaleWhileTheyRun(t *testing.T) {
	kubelet.Start(t, nodes...)
	p := startProcess(t)
	first, second := p.clock.push(t, "walk/lis:1", 20*day), p.clock.push(t, "walk/lis:2", 10*day)
	walks := map[string]*walk{}
	for name, k := range kinds {
		for _, onStale := range []v1alpha1.OnStale{v1alpha1.OnStaleDeny, v1alpha1.OnStaleHold} {
			walks[fmt.Sprintf("%s, %s", name, onStale)] = newWalk(t, k, onStale)
		}
	}
	t.Run("while they are fresh", func(t *testing.T) {
		for name, w := range walks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w.in(t).begin(first, second)
			})
		}
	})
	p.clock.jump(200 * day)
	t.Run("when they are stale", func(t *testing.T) {
		for name, w := range walks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := w.in(t)
				w.goOn(first, second)
				w.bringStaleImage(p.clock)
				if w.onStale == v1alpha1.OnStaleHold {
					w.createStale(p.clock)
				}
			})
		}
	})
}

// begin puts the workload into service with one image and updates it to another, both fresh.
func (w *walk) begin(first, second string) {
	w.Helper()
	w.govern(w.onStale)
	w.may("apply", "-f", w.file(w.manifest("lis", first)))
	w.admitted(w.record("lis"), first)
	if !w.updates {
		w.settled("created", w.replicas)
		return
	}
	if w.rolls {
		w.settled("created", w.replicas)
	}
	w.may("set", "image", w.name+"/lis", "c="+second)
	w.admitted(w.record("lis"), second)
	w.settled("updated", w.replicas)
}

// goOn does everything that has to work although the images of the workload are stale.
func (w *walk) goOn(first, second string) {
	w.Helper()
	current := second
	if !w.updates {
		current = first
	}
	w.step("a pod is deleted", 1, func() { w.deletePod(current) })
	w.condition(v1alpha1.ConditionImagesFresh, metav1.ConditionFalse, v1alpha1.ReasonImageStale)
	drain := func() { w.step("a node is drained", w.budget, func() { w.drain(current) }) }
	if w.rolls {
		drain()
	}
	if w.scales {
		w.scale()
	}
	if w.rolls {
		w.step("restarted", w.budget, func() { w.may("rollout", "restart", w.name+"/lis") })
		w.step("its configuration is changed", w.budget, func() { w.may("set", "env", w.name+"/lis", "STAGE=two") })
		w.step("rolled back", w.budget, func() { w.may("rollout", "undo", w.name+"/lis", "--to-revision=1") })
		w.runs(first)
	} else {
		w.undisturbed("its configuration is changed", func() { w.configure() })
	}
	reapply := func() {
		w.may("delete", w.name, "lis")
		w.may("apply", "-f", w.file(w.manifest("lis", current)))
	}
	if w.name == "cronjob" { // its next tick is a minute away
		reapply()
	} else {
		w.step("deleted and applied again", w.replicas, reapply)
	}
	w.step("restored from a backup", w.replicas, func() { w.restore() })
	w.runs(current)
	if !w.rolls { // the controller of a Job waits the longer before it replaces a pod the more of the same Job it has lost
		drain()
	}
}

// configure changes what a kind lets change while its pods stay.
func (w *walk) configure() {
	w.Helper()
	if w.name == "cronjob" {
		w.may("set", "env", "cronjob/lis", "STAGE=two")
		return
	}
	w.may("label", w.name, "lis", "stage=two")
}

// scale goes up to 8 replicas, where no pod may be lost, and back.
func (w *walk) scale() {
	w.Helper()
	w.undisturbed("scaled to 8", func() { w.may("scale", w.name+"/lis", "--replicas=8") })
	w.settled("scaled to 8", 8)
	w.may("scale", w.name+"/lis", "--replicas="+strconv.Itoa(w.replicas))
	w.settled("scaled back", w.replicas)
}

// runs fails the test unless all pods of the workload run an image.
func (w *walk) runs(image string) {
	w.Helper()
	for _, pod := range w.serving("lis") {
		for _, status := range pod.Status.ContainerStatuses {
			if status.Image != image {
				w.Errorf("pod %s runs %s instead of %s", pod.Name, status.Image, image)
			}
		}
	}
}

// bringStaleImage updates the workload to a stale image, which is refused or held while every old pod serves, and has the same tag built anew.
func (w *walk) bringStaleImage(clock *jumpingClock) {
	w.Helper()
	tag := "walk/" + w.namespace + ":3"
	stale := clock.push(w, tag, 100*day)
	bring := []string{"set", "image", w.name + "/lis", "c=" + stale}
	if !w.updates {
		bring = []string{"create", "-f", w.file(w.manifest("other", stale))}
	}
	switch {
	case w.onStale == v1alpha1.OnStaleHold && w.holds != "":
		w.undisturbed("a stale image is held", func() { w.may(bring...) })
		w.staysHeld(stale)
		clock.push(w, tag, time.Hour)
	case w.onStale == v1alpha1.OnStaleDeny || w.updates:
		w.undisturbed("a stale image is refused", func() { w.mayNot("is stale", bring...) })
		clock.push(w, tag, time.Hour)
		operator.Eventually(w, "the same tag is let in when it was built anew", func() error { return w.try(bring...) })
	default:
		return // it is created and held in the next step
	}
	w.admitted(w.record("lis"), stale)
	if w.rolls || w.name == "pod" {
		w.settled("updated", w.replicas)
		w.runs(stale)
		w.condition(v1alpha1.ConditionImagesFresh, metav1.ConditionTrue, "")
	}
	w.free("lis")
}
