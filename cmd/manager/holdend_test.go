// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/kubelet"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// holding is one held object: a kind, and how it is called.
type holding struct {
	*walk
	app string
}

// holdOneOfEach makes a held object of each kind: the Deployment and the StatefulSet are in service and held in an update, the others are new.
func holdOneOfEach(t *testing.T, fresh, stale string) map[string]holding {
	t.Helper()
	w := newWalk(t, kinds["Deployment of 5"], v1alpha1.OnStaleHold)
	w.govern(v1alpha1.OnStaleHold)
	all := map[string]holding{}
	for app, name := range map[string]string{
		"lis": "Deployment of 5", "db": "StatefulSet of 1", "agent": "DaemonSet", "batch": "Job", "nightly": "CronJob", "bare": "bare pod",
	} {
		one := holding{walk: &walk{lab: w.lab, kind: kinds[name], onStale: w.onStale, ward: w.ward}, app: app}
		all[app] = one
		if one.holds == "" {
			one.may("create", "-f", one.file(one.manifest(app, stale)))
			one.held(app, one.holdsNew)
			continue
		}
		one.may("create", "-f", one.file(one.manifest(app, fresh)))
		one.serves()
		operator.Eventually(t, "a stale image is held", func() error { return one.try("set", "image", one.name+"/"+app, "c="+stale) })
		one.held(app, one.holds)
	}
	return all
}

// serves waits until all pods of the object serve. The next tick of a CronJob is up to a minute away.
func (h *holding) serves() {
	h.Helper()
	if h.name == "cronjob" {
		return
	}
	operator.Eventually(h, h.name+" "+h.app+" serves", func() error {
		if serving := h.serving(h.app); len(serving) != h.replicas || len(h.live(h.app)) != h.replicas {
			return fmt.Errorf("%d of %d pods do", len(serving), len(h.live(h.app)))
		}
		return nil
	})
}

// released waits until the object is free and all its pods run an image.
func (h *holding) released(image string) {
	h.Helper()
	h.free(h.app)
	if h.name == "cronjob" {
		return
	}
	operator.Eventually(h, h.name+" "+h.app+" rolls out", func() error {
		object := h.empty()
		if err := h.get(h.app, object); err != nil {
			return err
		}
		for _, pod := range h.serving(h.app) {
			if pod.Spec.Containers[0].Image != image {
				return fmt.Errorf("pod %s runs %s", pod.Name, pod.Spec.Containers[0].Image)
			}
		}
		return rolledOut(object)
	})
	h.serves()
}

// TestHoldsEnd shows what ends a hold besides a fresh image, for each kind, and that holds outlive labguard.
func TestHoldsEnd(t *testing.T) {
	kubelet.Start(t, nodes...)
	p := startProcess(t)
	fresh, stale := p.clock.push(t, "holds/lis:1", 10*day), p.clock.push(t, "holds/lis:2", 100*day)
	ends := map[string]func(w *walk){
		"enforcement goes back to Audit": func(w *walk) {
			w.change(func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
		},
		"the LabWorkload is deleted": func(w *walk) { w.admin("delete", "labworkload", "lis", "-n", w.namespace) },
		"the namespace is in recovery": func(w *walk) {
			until := strconv.FormatInt(p.clock.Now().Add(time.Hour).Unix(), 10)
			w.admin("label", "namespace", w.namespace, v1alpha1.RecoveryLabel+"="+until)
		},
		"the image is exempted": func(w *walk) {
			w.change(func(spec *v1alpha1.LabWorkloadSpec) {
				spec.Images.Exempt = []v1alpha1.ImageExemption{{
					Pattern: strings.TrimSuffix(stale, ":2"), Reason: "the vendor is late", Expires: metav1.NewTime(p.clock.Now().Add(30 * day)),
				}}
			})
		},
		"onStale goes back to Warn": func(w *walk) {
			w.change(func(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnStale = v1alpha1.OnStaleWarn })
		},
	}
	t.Run("when", func(t *testing.T) {
		for name, end := range ends {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				all := holdOneOfEach(t, fresh, stale)
				end(all["lis"].walk)
				for _, one := range all {
					one.released(stale)
				}
			})
		}
		t.Run("the image is reverted", func(t *testing.T) {
			t.Parallel()
			all := holdOneOfEach(t, fresh, stale)
			for app, one := range all {
				if one.updates && one.name != "pod" {
					one.may("set", "image", one.name+"/"+app, "c="+fresh)
					one.released(fresh)
				}
			}
		})
		t.Run("it was declared by server-side apply", func(t *testing.T) {
			t.Parallel()
			givesBackWhatGitDeclares(t, p.clock)
		})
	})
	t.Run("holds outlive labguard", func(t *testing.T) { holdsOutlive(t, p) })
}

// holdsOutlive stops labguard while objects are held: they can be labelled, scaled and deleted, nothing rolls out, and it goes on when labguard is back.
func holdsOutlive(t *testing.T, p *process) {
	t.Helper()
	fresh, stale := p.clock.push(t, "holds/outlive:1", 10*day), p.clock.push(t, "holds/outlive:2", 100*day)
	all := holdOneOfEach(t, fresh, stale)
	lis := all["lis"]
	p.end(t)
	lis.undisturbed("labelled without labguard", func() { lis.may("label", "deployment", "lis", "stage=held") })
	lis.undisturbed("scaled without labguard", func() { lis.may("scale", "deployment/lis", "--replicas=7") })
	lis.walk.serves(7)
	lis.may("scale", "deployment/lis", "--replicas=5")
	lis.walk.serves(5)
	for _, app := range []string{"batch", "bare", "agent"} {
		all[app].may("delete", all[app].name, app)
		delete(all, app)
	}
	p.clock.push(t, "holds/outlive:2", time.Hour)
	for app, one := range all {
		marker := one.holdsNew
		if one.holds != "" {
			marker = one.holds
		}
		one.held(app, marker)
	}
	p.start(t)
	for _, one := range all {
		one.released(stale)
	}
}

// givesBackWhatGitDeclares holds a StatefulSet whose partition a GitOps tool declares by server-side apply.
func givesBackWhatGitDeclares(t *testing.T, clock *jumpingClock) {
	t.Helper()
	w := newWalk(t, kinds["StatefulSet of 3"], v1alpha1.OnStaleHold)
	w.govern(v1alpha1.OnStaleHold)
	tag := "holds/" + w.namespace + ":2"
	fresh, stale := clock.push(t, "holds/"+w.namespace+":1", 10*day), clock.push(t, tag, 100*day)
	apply := func(image string) {
		t.Helper()
		manifest := strings.Replace(w.manifest("lis", image), "  replicas: 3\n", "  replicas: 3\n  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}\n", 1)
		w.may("apply", "--server-side", "--field-manager=gitops", "-f", w.file(manifest))
	}
	apply(fresh)
	w.settled("created", 3)
	w.undisturbed("Git brings a stale image", func() { apply(stale) })
	w.held("lis", setHeld("2"))
	w.undisturbed("Git applies it again", func() { apply(stale) })
	w.held("lis", setHeld("2"))
	// A patch carries the holding value along, which must not be taken for what was declared.
	w.undisturbed("somebody patches it", func() { w.may("set", "env", "statefulset/lis", "STAGE=held") })
	w.held("lis", setHeld("2"))
	clock.push(t, tag, time.Hour)
	w.free("lis")
	operator.Eventually(t, "the pod above the partition is updated", func() error {
		for _, pod := range w.serving("lis") {
			if (pod.Spec.Containers[0].Image == stale) != (pod.Name == "lis-2") {
				return fmt.Errorf("pod %s runs %s", pod.Name, pod.Spec.Containers[0].Image)
			}
		}
		if serving := len(w.serving("lis")); serving != 3 {
			return fmt.Errorf("%d pods serve", serving)
		}
		return nil
	})
	set := &appsv1.StatefulSet{}
	if err := w.get("lis", set); err != nil {
		t.Fatal(err)
	}
	if got := *set.Spec.UpdateStrategy.RollingUpdate.Partition; got != 2 {
		t.Errorf("the partition is %d", got)
	}
	for _, entry := range set.ManagedFields {
		owns := entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.GetRawString(), `"f:partition"`)
		gitops := entry.Manager == "gitops" && entry.Operation == metav1.ManagedFieldsOperationApply
		if owns != gitops {
			t.Errorf("the partition: %s by %s owns it: %t", entry.Operation, entry.Manager, owns)
		}
	}
	w.undisturbed("Git applies it once more", func() { apply(stale) })
}
