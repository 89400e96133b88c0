// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
)

// The types below are the part of an object's JSON that is read. Each write of a workload is decoded while its author waits: what nobody asks for
// (environments, probes, managed fields) is skipped by the decoder and costs no memory.

type rawObject struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        rawMeta `json:"metadata"`
}

type rawMeta struct {
	Name              string                  `json:"name"`
	Namespace         string                  `json:"namespace"`
	UID               types.UID               `json:"uid"`
	ResourceVersion   string                  `json:"resourceVersion"`
	Generation        int64                   `json:"generation"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
	Labels            map[string]string       `json:"labels"`
	Annotations       map[string]string       `json:"annotations"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
}

func (m *rawMeta) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		DeletionTimestamp: m.DeletionTimestamp, Labels: m.Labels, Annotations: m.Annotations, OwnerReferences: m.OwnerReferences,
	}
}

type rawTemplate struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec rawPod `json:"spec"`
}

type rawPod struct {
	InitContainers     []rawContainer             `json:"initContainers"`
	Containers         []rawContainer             `json:"containers"`
	Volumes            []rawVolume                `json:"volumes"`
	NodeSelector       map[string]string          `json:"nodeSelector"`
	ServiceAccountName string                     `json:"serviceAccountName"`
	ImagePullSecrets   []rawNamed                 `json:"imagePullSecrets"`
	SchedulingGates    []corev1.PodSchedulingGate `json:"schedulingGates"`
}

type rawNamed struct {
	Name string `json:"name"`
}

type rawContainer struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type rawVolume struct {
	Name  string `json:"name"`
	Image *struct {
		Reference string `json:"reference"`
	} `json:"image"`
}

// template reads the pods of an object: a pod itself, those of a CronJob, or those below spec.template. It is read apart from the metadata, since
// where it lies depends on the kind.
func (o *rawObject) template(kind string, raw []byte) (Template, error) {
	var found rawTemplate
	var err error
	switch kind {
	case "Pod":
		var pod struct {
			Spec rawPod `json:"spec"`
		}
		err = json.Unmarshal(raw, &pod)
		found.Metadata.Labels, found.Spec = o.Metadata.Labels, pod.Spec
	case "CronJob":
		var cronJob struct {
			Spec struct {
				JobTemplate struct {
					Spec struct {
						Template rawTemplate `json:"template"`
					} `json:"spec"`
				} `json:"jobTemplate"`
			} `json:"spec"`
		}
		err = json.Unmarshal(raw, &cronJob)
		found = cronJob.Spec.JobTemplate.Spec.Template
	default:
		var workload struct {
			Spec struct {
				Template rawTemplate `json:"template"`
			} `json:"spec"`
		}
		err = json.Unmarshal(raw, &workload)
		found = workload.Spec.Template
	}
	return FromPod(metav1.ObjectMeta{Labels: found.Metadata.Labels}, found.Spec.pod()), err
}

// pod is the same as a pod spec.
func (p *rawPod) pod() *corev1.PodSpec {
	pod := &corev1.PodSpec{
		InitContainers: containers(p.InitContainers), Containers: containers(p.Containers), NodeSelector: p.NodeSelector,
		ServiceAccountName: p.ServiceAccountName, SchedulingGates: p.SchedulingGates,
	}
	for i := range p.Volumes {
		if image := p.Volumes[i].Image; image != nil {
			source := corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: image.Reference}}
			pod.Volumes = append(pod.Volumes, corev1.Volume{Name: p.Volumes[i].Name, VolumeSource: source})
		}
	}
	for i := range p.ImagePullSecrets {
		pod.ImagePullSecrets = append(pod.ImagePullSecrets, corev1.LocalObjectReference{Name: p.ImagePullSecrets[i].Name})
	}
	return pod
}

func containers(raw []rawContainer) []corev1.Container {
	all := make([]corev1.Container, len(raw))
	for i := range raw {
		all[i].Name, all[i].Image = raw[i].Name, raw[i].Image
	}
	return all
}
