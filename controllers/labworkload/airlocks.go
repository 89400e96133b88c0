// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// Airlocks asks the airlocks of pods and tries from the outside what they say. Watch says which pods of a LabWorkload are to be asked from now on, none if
// there are none; Facts answers at once from memory.
type Airlocks interface {
	Watch(workload types.NamespacedName, targets []posture.AirlockTarget)
	Facts(workload types.NamespacedName) map[types.UID]posture.AirlockFacts
}

// AirlockEvents is what Airlocks may do beyond that: tell that something new is known of a LabWorkload, so that nobody has to wait for the next look.
type AirlockEvents interface {
	Notify(func(workload types.NamespacedName))
}

// Sidecars is what the platform team says about provider Sidecar.
type Sidecars struct {
	// Image is the image of airlock, by digest. Empty: no pod gets one.
	Image string
	// Bundles are all trust bundles of the cluster.
	Bundles []transit.Bundle
	// Roots are those of the cluster's own trust domain. None: not known.
	Roots []posture.Root
	// Nodes are address blocks of nodes, from which the kubelet probes. None: the cluster's network lets it through by itself.
	Nodes []string
	// Labguard chooses labguard's own pods, which ask the airlocks.
	Labguard desired.Operator
	// Guards say whether keys and pods of a namespace are guarded by now; nil: nobody is asked, and nothing waits.
	Guards func(ctx context.Context, namespace string) (bool, error)
	// Salt keeps the name of a new Secret from being known before there is a guard. It is the same while the process lives.
	Salt string
}

func (r *Reconciler) watchAirlocks(workload types.NamespacedName, targets []posture.AirlockTarget) {
	if r.Airlocks != nil {
		r.Airlocks.Watch(workload, targets)
	}
}

func (r *Reconciler) airlockFacts(workload types.NamespacedName) map[types.UID]posture.AirlockFacts {
	if r.Airlocks == nil {
		return nil
	}
	return r.Airlocks.Facts(workload)
}

// isInjected says whether a pod has the airlock of a LabWorkload. The label alone would be a tenant's word.
func isInjected(pod *corev1.Pod, labWorkload string) bool {
	return pod.Labels[v1alpha1.WorkloadLabel] == desired.LabelValue(labWorkload) && hasAirlock(pod)
}

func hasAirlock(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.InitContainers, func(container corev1.Container) bool { return container.Name == transit.ContainerName })
}

// airlockImages are the images of airlock that pods of the namespace may have: that of the configuration, and those of the revisions of its profiles, which nobody
// but labguard writes.
func (s *scope) airlockImages(configured string) []string {
	images := []string{configured}
	for key, profile := range s.sidecar.profiles {
		if key.Namespace != s.workload.Namespace {
			continue
		}
		images = append(images, profile.Spec.Current.Image)
		for i := range profile.Spec.Known {
			images = append(images, profile.Spec.Known[i].Image)
		}
	}
	return images
}

// isAirlock says whether a container is one that labguard has added.
func isAirlock(pod *corev1.Pod, container string) bool {
	return pod.Labels[v1alpha1.WorkloadLabel] != "" && (container == transit.ContainerName || container == transit.RedirectContainerName)
}

// appContainers are the containers of a pod that keep running and are not airlock.
func appContainers(pod *corev1.Pod) []*corev1.Container {
	var found []*corev1.Container
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		if policy := container.RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways && !isAirlock(pod, container.Name) {
			found = append(found, container)
		}
	}
	for i := range pod.Spec.Containers {
		found = append(found, &pod.Spec.Containers[i])
	}
	return found
}
