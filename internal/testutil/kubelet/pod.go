// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// isReported says whether a pod runs what its spec says and everybody has been told.
func isReported(pod *corev1.Pod) bool {
	if pod.Status.Phase != corev1.PodRunning {
		return false
	}
	return slices.IndexFunc(pod.Spec.Containers, func(container corev1.Container) bool {
		status, found := earlier(pod.Status.ContainerStatuses, container)
		return !found || status.State.Running == nil
	}) < 0
}

// run writes into the status of a pod that its containers run. A container whose image cannot be had waits, and the error says why.
func run(ctx context.Context, pod *corev1.Pod) error {
	now := metav1.Now()
	if pod.Status.StartTime == nil {
		pod.Status.StartTime = &now
	}
	var failed error
	start := func(before []corev1.ContainerStatus, containers []corev1.Container, ends bool) []corev1.ContainerStatus {
		var statuses []corev1.ContainerStatus
		for _, container := range containers {
			status, err := startContainer(ctx, before, container, now)
			failed = errors.Join(failed, err)
			sidecar := container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
			if ends && !sidecar && err == nil {
				exit(&status, "Completed", 0, now)
			}
			statuses = append(statuses, status)
		}
		return statuses
	}
	pod.Status.InitContainerStatuses = start(pod.Status.InitContainerStatuses, pod.Spec.InitContainers, true)
	pod.Status.ContainerStatuses = start(pod.Status.ContainerStatuses, pod.Spec.Containers, false)
	ready := corev1.ConditionTrue
	if failed == nil {
		pod.Status.Phase = corev1.PodRunning
	} else {
		ready = corev1.ConditionFalse
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		setCondition(pod, kind, ready, now)
	}
	return failed
}

// earlier is the status of a container that has the image of its spec.
func earlier(statuses []corev1.ContainerStatus, container corev1.Container) (corev1.ContainerStatus, bool) {
	found := slices.IndexFunc(statuses, func(status corev1.ContainerStatus) bool {
		return status.Name == container.Name && status.Image == container.Image && status.ImageID != ""
	})
	if found < 0 {
		return corev1.ContainerStatus{}, false
	}
	return statuses[found], true
}

// startContainer pulls: what its image means now is what the container runs from now on, whatever is pushed under the same tag later.
func startContainer(ctx context.Context, before []corev1.ContainerStatus, container corev1.Container, now metav1.Time) (corev1.ContainerStatus, error) {
	if status, found := earlier(before, container); found {
		return status, nil
	}
	started := true
	status := corev1.ContainerStatus{Name: container.Name, Image: container.Image}
	digest, err := pull(ctx, container.Image)
	if err != nil {
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: err.Error()}
		return status, err
	}
	status.ImageID, status.ContainerID, status.Ready, status.Started = digest, "containerd://"+digest, true, &started
	status.State.Running = &corev1.ContainerStateRunning{StartedAt: now}
	return status, nil
}

// pull asks a registry for the digest behind a reference and returns it as a container runtime does: repository@digest.
func pull(ctx context.Context, reference string) (string, error) {
	parsed, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("parse %s: %w", reference, err)
	}
	descriptor, err := remote.Head(parsed, remote.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", reference, err)
	}
	return parsed.Context().Name() + "@" + descriptor.Digest.String(), nil
}

// complete writes into the status of a pod that its containers have exited with code 0.
func complete(pod *corev1.Pod) { end(pod, corev1.PodSucceeded, "Completed", 0) }

// terminate writes into the status of a pod that its containers have ended by SIGTERM.
func terminate(pod *corev1.Pod) { end(pod, corev1.PodFailed, "Error", 143) }

func end(pod *corev1.Pod, phase corev1.PodPhase, reason string, code int32) {
	now := metav1.Now()
	for i := range pod.Status.ContainerStatuses {
		exit(&pod.Status.ContainerStatuses[i], reason, code, now)
	}
	pod.Status.Phase = phase
	for _, kind := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		setCondition(pod, kind, corev1.ConditionFalse, now)
	}
}

func exit(status *corev1.ContainerStatus, reason string, code int32, now metav1.Time) {
	started := now
	if status.State.Running != nil {
		started = status.State.Running.StartedAt
	}
	no := false
	status.Ready, status.Started = false, &no
	status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: reason, ExitCode: code, StartedAt: started, FinishedAt: now, ContainerID: status.ContainerID,
	}}
}

func setCondition(pod *corev1.Pod, kind corev1.PodConditionType, status corev1.ConditionStatus, now metav1.Time) {
	found := slices.IndexFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool { return condition.Type == kind })
	if found < 0 {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: now})
		return
	}
	if pod.Status.Conditions[found].Status != status {
		pod.Status.Conditions[found].Status, pod.Status.Conditions[found].LastTransitionTime = status, now
	}
}
