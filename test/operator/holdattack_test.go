// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/testutil/operator"
)

func TestAnOwnerDoesNotKeepAHoldForEver(t *testing.T) {
	operator.Start(t, operator.Options{})
	t.Run("a Job that somebody made from a held CronJob is released", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", holdStale)
		stale := operator.Push(l, "around-c:1", 200*day)
		l.apply(manifests("lis", stale)["cronjob"])
		l.may("create", "job", "by-hand", "--from=cronjob/lis")
		suspended := func(want bool) func(*batchv1.Job) error {
			return func(j *batchv1.Job) error {
				if got := j.Spec.Suspend != nil && *j.Spec.Suspend; got != want {
					return fmt.Errorf("suspended: %t", got)
				}
				return nil
			}
		}
		until(l, "by-hand", "is held", suspended(true))
		operator.Push(l, "around-c:1", day)
		until(l, "by-hand", "is released", suspended(false))
	})
	t.Run("a held Deployment that gets an owner is released", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", holdStale)
		l.apply(deployment("lis", operator.Push(l, "around-d:1", 200*day)))
		until(l, "lis", "held", isPaused(true))
		l.may("create", "configmap", "own")
		uid := strings.TrimSpace(l.kubectl("get", "configmap", "own", "-n", l.namespace, "-o", "jsonpath={.metadata.uid}"))
		l.may("patch", "deployment", "lis", "--type=merge", "-p",
			fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"own","uid":%q,"controller":true}]}}`, uid))
		operator.Push(l, "around-d:1", day)
		until(l, "lis", "released", isPaused(false))
	})
}

// noneRuns waits until there are so many pods, and fails the test if one of them runs an image without labguard's gate.
func (l *lab) noneRuns(image string, count int) {
	l.Helper()
	operator.Eventually(l, fmt.Sprintf("there are %d pods", count), func() error {
		var pods corev1.PodList
		if err := l.List(l.Context(), &pods, client.InNamespace(l.namespace)); err != nil {
			return err
		}
		for i := range pods.Items {
			if pods.Items[i].Spec.Containers[0].Image == image && !hold.Gated(pods.Items[i].Spec.SchedulingGates) {
				l.Fatalf("pod %s runs the held image", pods.Items[i].Name)
			}
		}
		if len(pods.Items) != count {
			return fmt.Errorf("there are %d", len(pods.Items))
		}
		return nil
	})
}

func TestNoWayAroundTheHoldOfAStatefulSet(t *testing.T) {
	operator.Start(t, operator.Options{})
	t.Run("a held StatefulSet that is scaled to none and up again does not start the held image", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", holdStale)
		fresh, stale := operator.Push(l, "around-a:1", 10*day), operator.Push(l, "around-a:2", 200*day)
		l.apply(manifests("lis", fresh)["statefulset"])
		l.settled("lis")
		l.may("set", "image", "statefulset/lis", "lis="+stale)
		l.may("scale", "statefulset/lis", "--replicas=0")
		l.noneRuns(stale, 0)
		until(l, "lis", "has seen the scale", func(s *appsv1.StatefulSet) error {
			if s.Status.ObservedGeneration != s.Generation || s.Status.Replicas != 0 {
				return fmt.Errorf("%+v", s.Status)
			}
			return nil
		})
		l.may("scale", "statefulset/lis", "--replicas=1")
		l.noneRuns(stale, 1)
	})
	t.Run("a StatefulSet that is made anew around its pods keeps them", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", holdStale)
		fresh, stale := operator.Push(l, "around-b:1", 10*day), operator.Push(l, "around-b:2", 200*day)
		l.apply(manifests("lis", fresh)["statefulset"])
		l.settled("lis")
		l.noneRuns(stale, 1)
		var before corev1.Pod
		if err := l.get("lis-0", &before); err != nil {
			t.Fatal(err)
		}
		l.may("delete", "statefulset", "lis", "--cascade=orphan")
		l.apply(manifests("lis", stale)["statefulset"])
		until(l, "lis", "is seen", func(s *appsv1.StatefulSet) error {
			if s.Status.ObservedGeneration != s.Generation || s.Status.Replicas != 1 {
				return fmt.Errorf("%+v", s.Status)
			}
			return nil
		})
		until(l, "lis-0", "is adopted", func(p *corev1.Pod) error {
			if p.UID != before.UID || p.DeletionTimestamp != nil {
				l.Fatalf("the pod that served is replaced: %+v", p.Spec.SchedulingGates)
			}
			if len(p.OwnerReferences) == 0 {
				return fmt.Errorf("no owner")
			}
			return nil
		})
	})
	t.Run("a new one whose partition is declared starts when its image is fine", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", holdStale)
		image := operator.Push(l, "around-e:1", 200*day)
		l.apply("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: lis}\nspec: {serviceName: none, replicas: 1, selector: {matchLabels: {app: lis}}, " +
			"updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}, template: " + template("lis", image) + "}\n")
		l.noneRuns(image, 1)
		operator.Push(l, "around-e:1", day)
		until(l, "lis-0", "has no gate any more", func(p *corev1.Pod) error {
			if hold.Gated(p.Spec.SchedulingGates) {
				return fmt.Errorf("it waits at %v", p.Spec.SchedulingGates)
			}
			return nil
		})
	})
}
