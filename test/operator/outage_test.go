// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// TestOutage kills the operator and shows that a lab goes on: everything but new images works, and nothing is stuck. Then the operator comes back
// and finds the books right.
func TestOutage(t *testing.T) {
	running := operator.Start(t, operator.Options{})
	first := operator.Push(t, "lab/outage:1", 60*day)
	second := operator.Push(t, "lab/outage:2", 30*day)
	unseen := operator.Push(t, "lab/outage:3", 2*day)

	l, other, before := newLab(t), newLab(t), newLab(t)
	before.apply(deployment("lis", first))
	before.may("set", "image", "deployment/lis", "lis="+second)
	awaitReplicaSets(t, before, 2)
	before.govern("lis")
	before.admitted("deployment-lis", first, v1alpha1.AdmittedPreExisting)
	operator.Eventually(t, "the Deployment carries what its record admits", func() error {
		if annotation := before.may("get", "deployment/lis", "-o", "yaml"); !strings.Contains(annotation, v1alpha1.AdmittedAnnotation) {
			return errors.New("it does not")
		}
		return nil
	})
	for _, one := range []*lab{l, other} {
		one.declare("lis")
	}
	l.ready("lis")
	other.ready("lis")
	all := manifests("lis", first)
	for _, kind := range []string{"deployment", "statefulset", "daemonset", "cronjob"} {
		l.apply(all[kind])
		other.apply(all[kind])
		l.may("set", "image", kind+"/lis", map[bool]string{true: "c=", false: "lis="}[kind == "cronjob"]+second)
		l.admitted(kind+"-lis", second, v1alpha1.AdmittedFresh)
	}
	awaitRevisions(l, "lis", 4)
	running.Kill(t)

	steps := []struct {
		name string
		do   []string
	}{
		{"scale", []string{"scale", "deployment/lis", "--replicas=4"}},
		{"scale a StatefulSet", []string{"scale", "statefulset/lis", "--replicas=2"}},
		{"label", []string{"label", "deployment/lis", "statefulset/lis", "daemonset/lis", "cronjob/lis", "seen=yes"}},
		{"annotate", []string{"annotate", "deployment/lis", "note=x"}},
		{"restart a Deployment", []string{"rollout", "restart", "deployment/lis"}},
		{"restart a StatefulSet", []string{"rollout", "restart", "statefulset/lis"}},
		{"restart a DaemonSet", []string{"rollout", "restart", "daemonset/lis"}},
		{"change the configuration", []string{"set", "env", "deployment/lis", "MODE=night"}},
		{"undo to an image that was admitted", []string{"rollout", "undo", "deployment/lis", "--to-revision=1"}},
		{"undo a StatefulSet", []string{"rollout", "undo", "statefulset/lis"}},
		{"undo a DaemonSet", []string{"rollout", "undo", "daemonset/lis"}},
		{"Git reverts to the manifest of before", []string{"apply", "-f", l.file(all["cronjob"])}},
		{"Git applies what is there", []string{"apply", "-f", l.file(all["deployment"])}},
		{"suspend a CronJob", []string{"patch", "cronjob/lis", "--type=merge", "-p", "{\"spec\":{\"suspend\":true}}"}},
		{"delete a pod", []string{"delete", "pods", "-l", "app=lis", "--wait=false"}},
	}
	for _, step := range steps {
		t.Run("with the operator killed: "+step.name, func(*testing.T) { l.may(step.do...) })
	}
	t.Run("with the operator killed: undo to an image of before enforcement", func(*testing.T) {
		before.may("rollout", "undo", "deployment/lis")
		before.mayNot([]string{"failed calling webhook"}, "set", "image", "deployment/lis", "lis="+unseen)
	})
	t.Run("with the operator killed: the Deployment's controller makes the pods that were asked for", func(t *testing.T) {
		awaitPods(t, l, "lis", 4)
	})
	t.Run("with the operator killed: the CronJob's controller makes its Job", func(t *testing.T) { tick(t, l) })
	t.Run("with the operator killed: a new image is refused, in every kind", func(*testing.T) {
		for _, kind := range []string{"deployment", "statefulset", "daemonset"} {
			l.mayNot([]string{"failed calling webhook"}, "set", "image", kind+"/lis", "lis="+unseen)
		}
		l.mayNot([]string{"failed calling webhook"}, "create", "-f", l.file(deployment("portal", unseen)))
		l.mayNot([]string{"failed calling webhook"}, "run", "bare", "--image="+unseen)
	})
	t.Run("with the operator killed: foreground deletion ends", func(t *testing.T) {
		for _, object := range []client.Object{&appsv1.StatefulSet{}, &batchv1.CronJob{}} {
			if err := l.get("lis", object); err != nil {
				t.Fatal(err)
			}
			if err := l.Delete(t.Context(), object, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
				t.Fatal(err)
			}
			l.gone("lis", object)
		}
	})
	t.Run("with the operator killed: a namespace is deleted with everything in it", func(t *testing.T) {
		doomed := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other.namespace}}
		if err := other.Delete(t.Context(), doomed); err != nil {
			t.Fatal(err)
		}
		operator.Eventually(t, "namespace "+other.namespace+" is gone", func() error {
			if err := other.Get(t.Context(), client.ObjectKeyFromObject(doomed), doomed); !apierrors.IsNotFound(err) {
				return errors.Join(errors.New("it is there"), err)
			}
			return nil
		})
		// The clean-up of the test deletes the namespace by its name.
		if err := other.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other.namespace}}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("recovery mode lets everything in without labguard (A14)", func(t *testing.T) {
		enterRecovery(t, l, time.Now().Add(time.Hour))
		l.may("create", "-f", l.file(deployment("portal", unseen)))
	})

	running.Run(t)
	t.Run("the operator comes back: what came in during recovery is recorded, and the label goes when its time is over (F10)", func(t *testing.T) {
		l.change("lis", func(spec *v1alpha1.LabWorkloadSpec) {
			spec.Selector = metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpExists}}}
		})
		l.admitted("deployment-portal", unseen, v1alpha1.AdmittedRecovery)
		l.condition("lis", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonInRecovery)
		enterRecovery(t, l, time.Now().Add(-time.Minute))
		operator.Eventually(t, "the recovery label is gone", func() error {
			namespace := &corev1.Namespace{}
			if err := l.Get(t.Context(), client.ObjectKey{Name: l.namespace}, namespace); err != nil {
				return err
			}
			if _, found := namespace.Labels[v1alpha1.RecoveryLabel]; found {
				return errors.New("it is there")
			}
			return nil
		})
		l.ready("lis")
		l.may("rollout", "restart", "deployment/portal")
	})
}

// enterRecovery puts the namespace into recovery as a person whom the platform team lets do that, until an instant.
func enterRecovery(t *testing.T, l *lab, until time.Time) {
	t.Helper()
	person := "person-" + l.namespace
	if _, err := l.as(person, "auth", "can-i", "approve", "labworkloads.labguard.dev"); err != nil {
		l.grant("labguard-approver", person)
		l.kubectl("create", "clusterrole", person, "--verb=get,patch", "--resource=namespaces", "--resource-name="+l.namespace)
		l.kubectl("create", "clusterrolebinding", person, "--clusterrole="+person, "--user="+person)
		l.Cleanup(func() {
			l.kubectl("delete", "clusterrolebinding", person)
			l.kubectl("delete", "clusterrole", person)
		})
	}
	label := fmt.Sprintf("%s=%d", v1alpha1.RecoveryLabel, until.Unix())
	if _, err := l.as(person, "label", "--overwrite", "namespace", l.namespace, label); err != nil {
		t.Fatalf("set the recovery label as a person: %v", err)
	}
}

// awaitReplicaSets waits until the Deployment controller has made revisions.
func awaitReplicaSets(t *testing.T, l *lab, count int) {
	t.Helper()
	operator.Eventually(t, fmt.Sprintf("%d ReplicaSets", count), func() error {
		var found appsv1.ReplicaSetList
		if err := l.List(t.Context(), &found, client.InNamespace(l.namespace)); err != nil {
			return err
		}
		if len(found.Items) < count {
			return fmt.Errorf("there are %d", len(found.Items))
		}
		return nil
	})
}

// awaitPods waits until there are as many pods of a Deployment's present revision as it wants.
func awaitPods(t *testing.T, l *lab, name string, count int32) {
	t.Helper()
	operator.Eventually(t, fmt.Sprintf("%d pods of %s", count, name), func() error {
		found := &appsv1.Deployment{}
		if err := l.get(name, found); err != nil {
			return err
		}
		if found.Status.ObservedGeneration != found.Generation || found.Status.Replicas < count {
			return fmt.Errorf("its status is %+v", found.Status)
		}
		return nil
	})
}

// tick does what the CronJob controller does, under its own identity, and waits until the Job controller has made the pod.
func tick(t *testing.T, l *lab) {
	t.Helper()
	owner := &batchv1.CronJob{}
	if err := l.get("lis", owner); err != nil {
		t.Fatal(err)
	}
	config := cluster.Config()
	config.Impersonate.UserName = "system:serviceaccount:kube-system:cronjob-controller"
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: "lis-tick", Namespace: l.namespace,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, batchv1.SchemeGroupVersion.WithKind("CronJob"))},
		},
		Spec: owner.Spec.JobTemplate.Spec,
	}
	if err := clientFor(t, config).Create(t.Context(), job); err != nil {
		t.Fatalf("create the Job of a tick: %v", err)
	}
	operator.Eventually(t, "the Job of the tick has a pod", func() error {
		var pods corev1.PodList
		if err := l.List(t.Context(), &pods, client.InNamespace(l.namespace), client.MatchingLabels{batchv1.JobNameLabel: job.Name}); err != nil {
			return err
		}
		if len(pods.Items) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
}
