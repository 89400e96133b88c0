// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// lab is one namespace with a tenant who may edit it.
type lab struct {
	*testing.T
	client.Client
	namespace string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cluster.Config(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, Client: c, namespace: cluster.Namespace(t)}
	l.admit()
	return l
}

// in is the same lab in a subtest.
func (l *lab) in(t *testing.T) *lab {
	t.Helper()
	return &lab{T: t, Client: l.Client, namespace: l.namespace}
}

// admit lets the tenant edit the namespace.
func (l *lab) admit() {
	l.Helper()
	l.admin("create", "rolebinding", "tenant", "--clusterrole=edit", "--user="+l.tenant(), "-n", l.namespace)
}

func (l *lab) tenant() string { return "tenant-" + l.namespace }

// admin runs kubectl as administrator and fails the test if it fails.
func (l *lab) admin(words ...string) string {
	l.Helper()
	output, err := cluster.Kubectl(l, words...)
	if err != nil {
		l.Fatalf("kubectl %s: %v", strings.Join(words, " "), err)
	}
	return output
}

// try runs kubectl as the tenant.
func (l *lab) try(words ...string) error {
	l.Helper()
	_, err := cluster.Kubectl(l, slices.Concat([]string{"--as=" + l.tenant(), "--as-group=system:authenticated", "-n", l.namespace}, words)...)
	return err
}

// may fails the test if the tenant may not.
func (l *lab) may(words ...string) {
	l.Helper()
	if err := l.try(words...); err != nil {
		l.Fatalf("kubectl %s: %v", strings.Join(words, " "), err)
	}
}

// mayNot fails the test unless the tenant is refused for a reason.
func (l *lab) mayNot(reason string, words ...string) {
	l.Helper()
	if err := l.try(words...); err == nil || !strings.Contains(err.Error(), reason) {
		l.Fatalf("kubectl %s: want a refusal that says %q, got %v", strings.Join(words, " "), reason, err)
	}
}

// file writes a manifest and returns its path.
func (l *lab) file(manifest string) string {
	l.Helper()
	// kubectl takes a comma in a path for the end of it, and the name of a test may have one.
	file, err := os.CreateTemp("", "labguard-manifest-*.yaml")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = os.Remove(file.Name()) })
	if _, err := file.WriteString(manifest); err != nil {
		l.Fatal(err)
	}
	if err := file.Close(); err != nil {
		l.Fatal(err)
	}
	return file.Name()
}

// govern makes the LabWorkload lis, whose images may be 90 days old, and waits until the gate is proven to stand.
func (l *lab) govern(onStale v1alpha1.OnStale) {
	l.Helper()
	workload := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Name: "lis", Namespace: l.namespace},
		Spec: v1alpha1.LabWorkloadSpec{
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"team": "lis"}}, Enforcement: v1alpha1.EnforcementEnforce,
			Images: &v1alpha1.ImagesSpec{MaxAge: "2160h", OnStale: onStale},
		},
	}
	if err := l.Create(l.Context(), workload); err != nil {
		l.Fatalf("create the LabWorkload: %v", err)
	}
	l.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "")
}

// change edits the LabWorkload.
func (l *lab) change(change func(*v1alpha1.LabWorkloadSpec)) {
	l.Helper()
	operator.Eventually(l, "change the LabWorkload", func() error {
		workload := &v1alpha1.LabWorkload{}
		if err := l.get("lis", workload); err != nil {
			return err
		}
		change(&workload.Spec)
		return l.Update(l.Context(), workload)
	})
}

func (l *lab) get(name string, object client.Object) error {
	return l.Get(context.WithoutCancel(l.Context()), client.ObjectKey{Namespace: l.namespace, Name: name}, object)
}

// condition waits for a condition of the LabWorkload that speaks of its present generation. An empty reason is any.
func (l *lab) condition(kind string, status metav1.ConditionStatus, reason string) {
	l.Helper()
	operator.Eventually(l, fmt.Sprintf("the LabWorkload: %s is %s/%s", kind, status, reason), func() error {
		workload := &v1alpha1.LabWorkload{}
		if err := l.get("lis", workload); err != nil {
			return err
		}
		found := meta.FindStatusCondition(workload.Status.Conditions, kind)
		switch {
		case found == nil:
			return errors.New("it has no such condition")
		case found.ObservedGeneration != workload.Generation:
			return errors.New("it speaks of another generation")
		case found.Status != status || reason != "" && found.Reason != reason:
			return fmt.Errorf("it is %s/%s: %s", found.Status, found.Reason, found.Message)
		}
		return nil
	})
}

// admitted waits until a record has an image as Fresh.
func (l *lab) admitted(record, reference string) {
	l.Helper()
	operator.Eventually(l, fmt.Sprintf("record %s has %s as Fresh", record, reference), func() error {
		found := &v1alpha1.RolloutRecord{}
		if err := l.get(record, found); err != nil {
			return err
		}
		for _, image := range found.Spec.Admitted {
			if image.Reference == reference && image.Reason == v1alpha1.AdmittedFresh {
				return nil
			}
		}
		return fmt.Errorf("it has %+v", found.Spec.Admitted)
	})
}

// pods are those of the workload objects called lis, or of a Job that one of them has made.
func (l *lab) pods(app string) []corev1.Pod {
	l.Helper()
	var pods corev1.PodList
	err := l.List(context.WithoutCancel(l.Context()), &pods, client.InNamespace(l.namespace), client.MatchingLabels{"app": app})
	if err != nil {
		l.Fatalf("list pods: %v", err)
	}
	return pods.Items
}

// serving are the pods of an app that are ready and not about to go.
func (l *lab) serving(app string) []corev1.Pod {
	l.Helper()
	return slices.DeleteFunc(l.pods(app), func(pod corev1.Pod) bool { return !isServing(&pod) })
}

func isServing(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
		return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
	})
}
