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
			if entry.Manager == v1alpha1.FieldManager && strings.Contains(entry.FieldsV1.GetRawString(), "f:spec") {
				t.Errorf("labguard owns fields of the spec: %s", entry.FieldsV1.GetRawString())
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
		git := func(image string) {
			l.Helper()
			l.may("apply", "--server-side", "--field-manager=flux", "-f", declared(image))
		}
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
			if strings.Contains(entry.FieldsV1.GetRawString(), "f:partition") {
				owner += entry.Manager
			}
		}
		if owner != "flux" {
			t.Errorf("the partition is owned by %q", owner)
		}
	})
	t.Run("what is new is held by gates and suspension, and only labguard takes them off", func(t *testing.T) { newIsHeld(t) })
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

// TestHoldsAreGivenBackWithoutLabguard runs the one line of docs/install.md while labguard is dead and its gate refuses.
func TestHoldsAreGivenBackWithoutLabguard(t *testing.T) {
	manager := operator.Start(t, operator.Options{})
	l, pods := newLab(t), newLab(t)
	for _, one := range []*lab{l, pods} {
		one.govern("lis", holdStale)
	}
	image := operator.Push(t, "hold-f:1", 200*day)
	l.apply(deployment("lis", image))
	l.apply(manifests("lis", image)["job"])
	pods.apply(manifests("lis", image)["pod"])
	until(l, "lis", "held", isPaused(true))
	manager.Kill(t)
	l.kubectl("delete", "clusterrole", "labguard-webhook-anchor")
	if output, err := manager.Once(t, "--release-holds"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	until(l, "lis", "released", isPaused(false))
	for _, kind := range []struct {
		lab  *lab
		name string
		path string
	}{{l, "job", "{.spec.suspend}"}, {pods, "pod", "{.spec.schedulingGates}"}, {pods, "pod", `{.metadata.annotations.labguard\.dev/hold}`}} {
		if got := kind.lab.kubectl("get", kind.name, "lis", "-n", kind.lab.namespace, "-o", "jsonpath="+kind.path); strings.Trim(got, "false[]") != "" {
			t.Errorf("%s %s is %s", kind.name, kind.path, got)
		}
	}
	install(t) // the anchor is back, and with it the gate
	manager.Run(t)
	l.ready("lis")
}

// TestTheGateIsTakenDownWhileLabguardRuns runs what `helm uninstall` runs first: with labguard's own rights, while labguard holds something and goes on.
func TestTheGateIsTakenDownWhileLabguardRuns(t *testing.T) {
	manager := operator.Start(t, operator.Options{})
	l := newLab(t)
	l.govern("lis", holdStale)
	l.apply(deployment("lis", operator.Push(t, "hold-g:1", 200*day)))
	until(l, "lis", "held", isPaused(true))
	for range 2 { // the second time there is nothing to do
		if output, err := manager.OnceAsItself(t, "--take-down"); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
	}
	until(l, "lis", "released", isPaused(false))
	operator.Eventually(l, "nothing of the gate is left", func() error {
		left := l.kubectl("get", "mutatingwebhookconfigurations,validatingwebhookconfigurations,mutatingadmissionpolicies,mutatingadmissionpolicybindings,"+
			"validatingadmissionpolicies,validatingadmissionpolicybindings", "-l", "app.kubernetes.io/managed-by=labguard", "-o", "name")
		if left != "" {
			return errors.New(left)
		}
		return nil
	})
	install(t) // the anchor is back, and with it the gate
	l.ready("lis")
}

// newIsHeld holds one new object of each kind, each in a namespace of its own, since workloads with one selector take each other's pods.
func newIsHeld(t *testing.T) {
	suspended := func(spec map[string]any) bool { return spec["suspend"] == true }
	gated := func(spec map[string]any) bool {
		encoded, err := json.Marshal(spec)
		return err == nil && strings.Contains(string(encoded), `"schedulingGates":[{"name":"labguard.dev/image-age"}]`)
	}
	for kind, held := range map[string]func(map[string]any) bool{
		"statefulset": gated, "daemonset": gated, "pod": gated, "job": suspended, "cronjob": suspended,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.govern("lis", holdStale)
			l.apply(manifests("lis", operator.Push(l, "hold-c:1", 200*day))[kind])
			is := func(what string, want bool) {
				l.Helper()
				operator.Eventually(l, kind+" "+what, func() error {
					var object struct {
						Spec map[string]any `json:"spec"`
					}
					if err := json.Unmarshal([]byte(l.kubectl("get", kind, "lis", "-n", l.namespace, "-o", "json")), &object); err != nil {
						return err
					}
					if held(object.Spec) != want {
						return fmt.Errorf("its spec is %v", object.Spec)
					}
					return nil
				})
			}
			is("is held", true)
			l.may("patch", kind, "lis", "--type=merge", "-p", `{"spec":{"suspend":false,"schedulingGates":[],"template":{"spec":{"schedulingGates":[]}}}}`)
			is("stays held", true)
			l.may("label", kind, "lis", "tier=one")
			l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) { spec.Enforcement = v1alpha1.EnforcementAudit })
			is("is given back under Audit", false)
		})
	}
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
