// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
)

// outdated is a pod that waits for labguard's gate though the template of its owner has none any more. A StatefulSet that starts its pods in order
// never replaces such a pod by itself, since it waits for it to become ready.
type outdated struct {
	pod   *corev1.Pod
	self  template.Root
	owner *template.Root
}

func (s *scope) outdated() []outdated {
	var pods []outdated
	for i := range s.found.Pods {
		pod := &s.found.Pods[i]
		if !hold.Gated(pod.Spec.SchedulingGates) || pod.Spec.NodeName != "" || pod.DeletionTimestamp != nil {
			continue
		}
		self := s.found.Pod(pod)
		owner, _ := s.found.OwnerOf(&self)
		replaces := owner != nil && (owner.Kind == "StatefulSet" || owner.Kind == "DaemonSet")
		if replaces && !owner.Template.Gated && !owner.Held() {
			pods = append(pods, outdated{pod: pod, self: self, owner: owner})
		}
	}
	return pods
}

// renew gets rid of pods that never started and never will: it deletes them, so that their owner makes them anew. One that would come back as it is, as its
// ordinal lies below the partition that somebody declares, loses its gate instead if it has the images that its owner declares; with others it waits
// until the partition lets it go.
func (r *Reconciler) renew(ctx context.Context, s *scope) error {
	var failed []error
	for _, one := range s.outdated() {
		comesBack, err := r.comesBack(ctx, one)
		switch {
		case err != nil:
		case !comesBack:
			// What was read must be what is there.
			err = r.Delete(ctx, one.pod, client.Preconditions{UID: &one.pod.UID, ResourceVersion: &one.pod.ResourceVersion})
		case slices.Equal(one.self.Template.References(), one.owner.Template.References()):
			_, err = r.undo(ctx, &one.self, nil)
		}
		if client.IgnoreNotFound(err) != nil {
			failed = append(failed, fmt.Errorf("renew pod %s/%s, which waits for a gate that its owner does not have: %w", one.pod.Namespace, one.pod.Name, err))
		}
	}
	return errors.Join(failed...)
}

// comesBack says whether a pod that is deleted is made anew with the revision that it has.
func (r *Reconciler) comesBack(ctx context.Context, one outdated) (bool, error) {
	if one.owner.Kind != "StatefulSet" {
		return false, nil
	}
	owner := &appsv1.StatefulSet{}
	if err := r.Get(ctx, client.ObjectKey{Namespace: one.owner.Namespace, Name: one.owner.Name}, owner); err != nil {
		return false, fmt.Errorf("get StatefulSet %s/%s: %w", one.owner.Namespace, one.owner.Name, err)
	}
	rolling := owner.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || rolling.Partition == nil {
		return false, nil
	}
	first := 0
	if owner.Spec.Ordinals != nil {
		first = int(owner.Spec.Ordinals.Start)
	}
	if ordinal, err := strconv.Atoi(one.pod.Labels[appsv1.PodIndexLabel]); err == nil {
		return ordinal < first+int(*rolling.Partition), nil
	}
	return false, nil // the controller of StatefulSets has not made it
}
