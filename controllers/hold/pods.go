// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
)

// outdated are pods that wait for labguard's gate though the template of their owner has none any more. A StatefulSet that starts its pods in order
// never replaces such a pod by itself, since it waits for it to become ready.
func (s *scope) outdated() []*corev1.Pod {
	var pods []*corev1.Pod
	for i := range s.found.Pods {
		pod := &s.found.Pods[i]
		if !hold.Gated(pod.Spec.SchedulingGates) || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
			continue
		}
		self, _ := template.FromObject(pod)
		owner, _ := s.found.OwnerOf(&self)
		replaces := owner != nil && (owner.Kind == "StatefulSet" || owner.Kind == "DaemonSet")
		if replaces && !owner.Template.Gated && !owner.Held() {
			pods = append(pods, pod)
		}
	}
	return pods
}

// deleteOutdated deletes pods that never started and never will, so that their owner makes them anew. What was read must be what is there.
func (r *Reconciler) deleteOutdated(ctx context.Context, s *scope) error {
	var failed []error
	for _, pod := range s.outdated() {
		err := r.Delete(ctx, pod, client.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion})
		if client.IgnoreNotFound(err) != nil {
			failed = append(failed, fmt.Errorf("delete pod %s/%s, which waits for a gate that its owner does not have: %w", pod.Namespace, pod.Name, err))
		}
	}
	return errors.Join(failed...)
}
