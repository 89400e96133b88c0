// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
)

// Template is what counts of a pod template.
type Template struct {
	// Labels are the labels of the pods.
	Labels map[string]string
	// Images are those of init containers (sidecars included), containers and image volumes, in this order.
	Images []posture.TemplateImage
	// Platform is what the node selector asks for; zero if it asks for nothing.
	Platform posture.Platform
	// Gated says that the pods wait for labguard's scheduling gate.
	Gated bool
	// ServiceAccount and PullSecrets say whose credentials the kubelet would use.
	ServiceAccount string
	PullSecrets    []string
}

// References are the distinct images of the template, in order.
func (t Template) References() []string {
	seen := make(map[string]bool, len(t.Images))
	references := make([]string, 0, len(t.Images))
	for _, image := range t.Images {
		if !seen[image.Reference] {
			seen[image.Reference] = true
			references = append(references, image.Reference)
		}
	}
	return references
}

// Declares says whether a container of the template (or an image volume) has this name.
func (t Template) Declares(container string) (reference string, found bool) {
	for _, image := range t.Images {
		if image.Container == container {
			return image.Reference, true
		}
	}
	return "", false
}

// Query is the question to a registry for one image of the template in a namespace.
func (t Template) Query(namespace, reference string) posture.ImageQuery {
	return posture.ImageQuery{
		Reference: reference, Platform: t.Platform, Namespace: namespace, ServiceAccount: t.ServiceAccount, PullSecrets: t.PullSecrets,
	}
}

// FromPod reads the labels and the spec of a pod or of a pod template.
func FromPod(meta metav1.ObjectMeta, spec *corev1.PodSpec) Template {
	result := newTemplate(meta.Labels, spec.ServiceAccountName, spec.NodeSelector)
	result.Gated = hold.Gated(spec.SchedulingGates)
	for i := range spec.InitContainers {
		result.addInit(spec.InitContainers[i].Name, spec.InitContainers[i].Image)
	}
	for i := range spec.Containers {
		result.add(spec.Containers[i].Name, spec.Containers[i].Image)
	}
	for i := range spec.Volumes {
		if image := spec.Volumes[i].Image; image != nil {
			result.addVolume(spec.Volumes[i].Name, image.Reference)
		}
	}
	for _, secret := range spec.ImagePullSecrets {
		result.PullSecrets = append(result.PullSecrets, secret.Name)
	}
	return result
}

func newTemplate(labels map[string]string, serviceAccount string, nodeSelector map[string]string) Template {
	return Template{Labels: labels, ServiceAccount: cmp.Or(serviceAccount, "default"), Platform: selectedPlatform(nodeSelector)}
}

func (t *Template) addInit(name, reference string) {
	t.addImage(posture.TemplateImage{Container: name, Reference: reference, Init: true})
}

func (t *Template) addVolume(name, reference string) { t.add("volume "+name, reference) }

func (t *Template) add(container, reference string) {
	t.addImage(posture.TemplateImage{Container: container, Reference: reference})
}

// addImage keeps an image; an empty one (a container whose image another admission plugin sets) is none.
func (t *Template) addImage(image posture.TemplateImage) {
	if image.Reference != "" {
		t.Images = append(t.Images, image)
	}
}

func selectedPlatform(selector map[string]string) posture.Platform {
	platform := posture.Platform{OS: selector[corev1.LabelOSStable], Architecture: selector[corev1.LabelArchStable]}
	if platform.Architecture != "" && platform.OS == "" {
		platform.OS = "linux"
	}
	if platform.OS != "" && platform.Architecture == "" {
		platform.Architecture = "amd64"
	}
	return platform
}

// Valid says whether a reference can stand in a list that is separated by white space.
func Valid(reference string) bool {
	return posture.ValidReference(reference)
}
