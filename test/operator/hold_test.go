// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/operator"
)

func holdStale(spec *v1alpha1.LabWorkloadSpec) { spec.Images.OnStale = v1alpha1.OnStaleHold }

// until waits until an object is as it should be, and returns it.
func until[T any, P interface {
	*T
	client.Object
}](l *lab, name, what string, fine func(P) error) P {
	l.Helper()
	object := P(new(T))
	operator.Eventually(l, fmt.Sprintf("%T %s: %s", object, name, what), func() error {
		if err := l.get(name, object); err != nil {
			return err
		}
		return fine(object)
	})
	return object
}

// settled waits until the controllers have seen the newest generation.
func (l *lab) settled(name string) {
	l.Helper()
	until(l, name, "is settled", func(s *appsv1.StatefulSet) error {
		if s.Status.ObservedGeneration != s.Generation || s.Status.CurrentRevision != s.Status.UpdateRevision {
			return fmt.Errorf("generation %d, status %+v", s.Generation, s.Status)
		}
		return nil
	})
}

func isPaused(want bool) func(*appsv1.Deployment) error {
	return func(d *appsv1.Deployment) error {
		_, marked := d.Annotations[v1alpha1.HoldAnnotation]
		if d.Spec.Paused != want || marked != want {
			return fmt.Errorf("paused %t, marked %t", d.Spec.Paused, marked)
		}
		return nil
	}
}

func TestHold(t *testing.T) {
	manager := operator.Start(t, operator.Options{})
	t.Run("a Deployment is held, stays held whoever writes, and is released when the tag is fixed", func(t *testing.T) {
		l := newLab(t)
		l.govern("lis", holdStale)
		fresh, stale := operator.Push(l, "hold-a:1", 10*day), operator.Push(l, "hold-a:2", 200*day)
		l.apply(deployment("lis", fresh))
		l.admitted("deployment-lis", fresh, v1alpha1.AdmittedFresh)
		output := l.may("set", "image", "deployment/lis", "lis="+stale)
		for _, words := range []string{"is stale", "is held", "revert the image to " + fresh} {
			if !strings.Contains(output, words) {
				t.Errorf("the warning does not say %q: %s", words, output)
			}
		}
		until(l, "lis", "held", isPaused(true))
		for _, words := range [][]string{
			{"rollout", "resume", "deployment/lis"}, {"set", "env", "deployment/lis", "A=b"},
			{"annotate", "deployment/lis", v1alpha1.HoldAnnotation + "-"},
			{"patch", "deployment", "lis", "--type=merge", "-p", `{"spec":{"paused":null},"metadata":{"annotations":null}}`},
			{"label", "deployment/lis", "tier=one"}, {"scale", "deployment/lis", "--replicas=3"},
		} {
			l.may(words...)
			until(l, "lis", "held after "+strings.Join(words, " "), isPaused(true))
		}
		l.condition("lis", v1alpha1.ConditionImagesFresh, metav1.ConditionTrue, "")
		until(l, "deployment-lis", "says what is held", func(r *v1alpha1.RolloutRecord) error {
			if r.Spec.Held == nil || len(r.Spec.Held.Images) != 1 || r.Spec.Held.Images[0] != stale {
				return fmt.Errorf("%+v", r.Spec.Held)
			}
			return nil
		})
		if operator.Push(l, "hold-a:2", day) != stale {
			t.Fatal("another tag")
		}
		released := until(l, "lis", "released", isPaused(false))
		l.admitted("deployment-lis", stale, v1alpha1.AdmittedFresh)
		for _, entry := range released.ManagedFields {
			if entry.Manager == v1alpha1.FieldManager && strings.Contains(string(entry.FieldsV1.Raw), "f:spec") {
				t.Errorf("labguard owns fields of the spec: %s", entry.FieldsV1.Raw)
			}
		}
		l.replicaSets("lis", stale)
	})
	t.Run("a partition that Git declares comes back and is Git's", func(t *testing.T) {
		l := newLab(t)
		l.govern("lis", holdStale)
		fresh, stale := operator.Push(l, "hold-b:1", 10*day), operator.Push(l, "hold-b:2", 200*day)
		declared := func(image string) string {
			return l.file(fmt.Sprintf("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: lis}\nspec: {serviceName: none, replicas: 3, selector: {matchLabels: {app: lis}}, "+
				"updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 2}}, template: %s}\n", template("lis", image)))
		}
		git := func(image string) { l.Helper(); l.may("apply", "--server-side", "--field-manager=flux", "-f", declared(image)) }
		git(fresh)
		l.admitted("statefulset-lis", fresh, v1alpha1.AdmittedFresh)
		l.settled("lis")
		git(stale)
		partition := func(want int32) func(*appsv1.StatefulSet) error {
			return func(s *appsv1.StatefulSet) error {
				if rolling := s.Spec.UpdateStrategy.RollingUpdate; rolling == nil || *rolling.Partition != want {
					return fmt.Errorf("%+v", s.Spec.UpdateStrategy)
				}
				return nil
			}
		}
		until(l, "lis", "held", partition(2147483647))
		git(stale)
		git(fresh) // Git reverts
		found := until(l, "lis", "released", partition(2))
		if _, marked := found.Annotations[v1alpha1.HoldAnnotation]; marked || found.Spec.Template.Spec.Containers[0].Image != fresh {
			t.Errorf("%v, image %s", found.Annotations, found.Spec.Template.Spec.Containers[0].Image)
		}
		owner := ""
		for _, entry := range found.ManagedFields {
			if strings.Contains(string(entry.FieldsV1.Raw), "f:partition") {
				owner += entry.Manager
			}
		}
		if owner != "flux" {
			t.Errorf("the partition is owned by %q", owner)
		}
	})
	t.Run("what is new is held by gates and suspension, and only labguard takes them off", func(t *testing.T) {
		l := newLab(t)
		l.govern("lis", holdStale)
		image := operator.Push(l, "hold-c:1", 200*day)
		for _, kind := range []string{"statefulset", "daemonset", "job", "cronjob", "pod"} {
			l.apply(manifests("lis", image)[kind])
		}
		l.may("patch", "pod", "lis", "--type=merge", "-p", `{"spec":{"schedulingGates":[]}}`)
		l.may("patch", "job", "lis", "--type=merge", "-p", `{"spec":{"suspend":false}}`)
		l.may("label", "pod", "lis", "tier=one")
		gates := func(spec *corev1.PodSpec, suspended *bool) string {
			state, err := json.Marshal([]any{spec.SchedulingGates, suspended})
			if err != nil {
				t.Fatal(err)
			}
			return string(state)
		}
		states := func() map[string]string {
			var set appsv1.StatefulSet
			var daemons appsv1.DaemonSet
			var job batchv1.Job
			var cron batchv1.CronJob
			var pod corev1.Pod
			if err := errors.Join(l.get("lis", &set), l.get("lis", &daemons), l.get("lis", &job), l.get("lis", &cron), l.get("lis", &pod)); err != nil {
				t.Fatal(err)
			}
			return map[string]string{
				"StatefulSet": gates(&set.Spec.Template.Spec, nil), "DaemonSet": gates(&daemons.Spec.Template.Spec, nil), "Pod": gates(&pod.Spec, nil),
				"Job": gates(&job.Spec.Template.Spec, job.Spec.Suspend), "CronJob": gates(&cron.Spec.JobTemplate.Spec.Template.Spec, cron.Spec.Suspend),
			}
		}
		gated, suspended := `[[{"name":"labguard.dev/image-age"}],null]`, `[null,true]`
		for kind, want := range map[string]string{"StatefulSet": gated, "DaemonSet": gated, "Pod": gated, "Job": suspended, "CronJob": suspended} {
			if got := states()[kind]; got != want {
				t.Errorf("%s is %s, want %s", kind, got, want)
			}
		}
		l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
		operator.Eventually(l, "everything is given back under Audit", func() error {
			for kind, state := range states() {
				if strings.Contains(state, "labguard") || strings.Contains(state, "true") {
					return fmt.Errorf("%s is %s", kind, state)
				}
			}
			return nil
		})
	})
	t.Run("recovery releases, without the webhook", func(t *testing.T) {
		l := newLab(t)
		l.govern("lis", holdStale)
		image := operator.Push(l, "hold-d:1", 200*day)
		l.apply(deployment("lis", image))
		until(l, "lis", "held", isPaused(true))
		l.kubectl("label", "namespace", l.namespace, v1alpha1.RecoveryLabel+"=1895000000")
		until(l, "lis", "released", isPaused(false))
		l.admitted("deployment-lis", image, v1alpha1.AdmittedRecovery)
	})
	t.Run("a hold outlives labguard and its LabWorkload", func(t *testing.T) {
		l := newLab(t)
		l.govern("lis", holdStale)
		l.apply(deployment("lis", operator.Push(l, "hold-e:1", 200*day)))
		until(l, "lis", "held", isPaused(true))
		manager.Kill(t)
		l.may("label", "deployment/lis", "tier=one")
		l.may("scale", "deployment/lis", "--replicas=2")
		if output, err := l.tenant("rollout", "resume", "deployment/lis"); err == nil {
			t.Errorf("it was resumed while labguard was down: %s", output)
		}
		l.may("delete", "labworkload", "lis")
		manager.Run(t)
		until(l, "lis", "released", isPaused(false))
	})
}

// replicaSets waits until the newest revision of a Deployment has an image.
func (l *lab) replicaSets(app, image string) {
	l.Helper()
	operator.Eventually(l, "Deployment "+app+" rolls out "+image, func() error {
		var list appsv1.ReplicaSetList
		if err := l.List(l.Context(), &list, client.InNamespace(l.namespace)); err != nil {
			return err
		}
		for i := range list.Items {
			if list.Items[i].Spec.Template.Spec.Containers[0].Image == image {
				return nil
			}
		}
		return fmt.Errorf("there are %d ReplicaSets, none with it", len(list.Items))
	})
}
