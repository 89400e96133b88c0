// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/kubelet"
	"github.com/labguard/labguard/internal/testutil/operator"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

type lab struct {
	*testing.T
	kubernetes.Interface
	namespace string
}

func newLab(t *testing.T) lab {
	t.Helper()
	client, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return lab{T: t, Interface: client, namespace: cluster.Namespace(t)}
}

func podSpec(image string, policy corev1.RestartPolicy) corev1.PodSpec {
	return corev1.PodSpec{RestartPolicy: policy, Containers: []corev1.Container{{Name: "c", Image: image}}}
}

func (l lab) pod(name string) *corev1.Pod {
	l.Helper()
	pod, err := l.CoreV1().Pods(l.namespace).Get(l.Context(), name, metav1.GetOptions{})
	if err != nil {
		l.Fatal(err)
	}
	return pod
}

func (l lab) create(pod *corev1.Pod) {
	l.Helper()
	if _, err := l.CoreV1().Pods(l.namespace).Create(l.Context(), pod, metav1.CreateOptions{}); err != nil {
		l.Fatal(err)
	}
}

// running waits until a pod runs an image, and returns its digest.
func (l lab) running(name, image string) string {
	l.Helper()
	var digest string
	operator.Eventually(l, "pod "+name+" runs "+image, func() error {
		pod := l.pod(name)
		for _, status := range pod.Status.ContainerStatuses {
			if pod.Status.Phase == corev1.PodRunning && status.Image == image && status.Ready {
				_, digest, _ = strings.Cut(status.ImageID, "@")
				return nil
			}
		}
		return fmt.Errorf("it is %s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
	})
	return digest
}

func TestPodsRunWhatTheirTagMeansWhenTheyStart(t *testing.T) {
	kubelet.Start(t, "runs-1")
	l := newLab(t)
	image := operator.Push(t, "kubelet/moves:1", time.Hour)
	for _, name := range []string{"before", "after"} {
		l.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: podSpec(image, corev1.RestartPolicyAlways)})
		l.running(name, image)
		operator.Push(t, "kubelet/moves:1", 2*time.Hour)
	}
	before, after := l.running("before", image), l.running("after", image)
	if !strings.HasPrefix(before, "sha256:") || before == after {
		t.Errorf("the pod from before the tag moved runs %q, the one from after %q", before, after)
	}
	other := operator.Push(t, "kubelet/moves:2", time.Hour)
	pod := l.pod("before")
	pod.Spec.Containers[0].Image = other
	if _, err := l.CoreV1().Pods(l.namespace).Update(l.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if digest := l.running("before", other); digest == before {
		t.Error("a container whose image was changed still runs the old one")
	}
}

func TestGatedPodsAndPodsWithoutAnImageDoNotRun(t *testing.T) {
	kubelet.Start(t, "waits-1")
	l := newLab(t)
	image := operator.Push(t, "kubelet/waits:1", time.Hour)
	gated := podSpec(image, corev1.RestartPolicyAlways)
	gated.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
	missing := cluster.RegistryHost() + "/kubelet/" + l.namespace + ":1"
	l.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "gated"}, Spec: gated})
	l.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "missing"}, Spec: podSpec(missing, corev1.RestartPolicyAlways)})
	operator.Eventually(t, "the pod without an image says so", func() error {
		pod := l.pod("missing")
		for _, status := range pod.Status.ContainerStatuses {
			if status.State.Waiting != nil && status.State.Waiting.Reason == "ErrImagePull" {
				return nil
			}
		}
		return fmt.Errorf("it is %+v", pod.Status)
	})
	if pod := l.pod("gated"); pod.Spec.NodeName != "" || pod.Status.Phase != corev1.PodPending {
		t.Errorf("the gated pod is %s on %q", pod.Status.Phase, pod.Spec.NodeName)
	}
	operator.Push(t, "kubelet/"+l.namespace+":1", time.Hour)
	l.running("missing", missing)
}

func TestControllersMakeProgress(t *testing.T) {
	nodes := kubelet.Start(t, "works-1", "works-2")
	l := newLab(t)
	image := operator.Push(t, "kubelet/works:1", time.Hour)
	labels := map[string]string{"app": "set"}
	replicas := int32(3)
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "set"}, Spec: appsv1.StatefulSetSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(image, corev1.RestartPolicyAlways)},
	}}
	if _, err := l.AppsV1().StatefulSets(l.namespace).Create(l.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ready := func() error {
		found, err := l.AppsV1().StatefulSets(l.namespace).Get(context.WithoutCancel(l.Context()), "set", metav1.GetOptions{})
		if err == nil && found.Status.ReadyReplicas != replicas {
			err = fmt.Errorf("%d are", found.Status.ReadyReplicas)
		}
		return err
	}
	operator.Eventually(t, "three pods are ready", ready)
	first := l.pod("set-0")
	if err := l.CoreV1().Pods(l.namespace).Delete(l.Context(), "set-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	operator.Eventually(t, "a deleted pod is replaced", func() error {
		pod, err := l.CoreV1().Pods(l.namespace).Get(l.Context(), "set-0", metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && pod.UID == first.UID {
			return fmt.Errorf("it is not: %w", err)
		}
		return ready()
	})
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job"}, Spec: batchv1.JobSpec{
		Template: corev1.PodTemplateSpec{Spec: podSpec(image, corev1.RestartPolicyNever)},
	}}
	if _, err := l.BatchV1().Jobs(l.namespace).Create(l.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	operator.Eventually(t, "the Job completes", func() error {
		pods, err := l.CoreV1().Pods(l.namespace).List(l.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=job"})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			if pods.Items[i].Status.Phase == corev1.PodRunning {
				if err := nodes.Complete(l.Context(), l.namespace, pods.Items[i].Name); err != nil {
					return err
				}
			}
		}
		found, err := l.BatchV1().Jobs(l.namespace).Get(l.Context(), "job", metav1.GetOptions{})
		if err == nil && found.Status.Succeeded != 1 {
			err = fmt.Errorf("it has %+v", found.Status)
		}
		return err
	})
}
