// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	stdjson "encoding/json"
	"fmt"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/labguard/labguard/internal/posture/hold"
)

// Root is an object that has a pod template, or a pod.
type Root struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Template Template
}

// Controller is the owner that controls the object, or nil.
func (r *Root) Controller() *metav1.OwnerReference {
	return metav1.GetControllerOfNoCopy(&r.ObjectMeta)
}

// rawRoot is the part of an object's JSON that is read. Everything else is skipped by the decoder.
type rawRoot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              stdjson.RawMessage `json:"spec"`
}

// Held says whether labguard keeps the object from rolling out what it declares.
func (r *Root) Held() bool {
	return hold.Marked(r.Annotations) || r.Kind == "Pod" && r.Template.Gated
}

type rawTemplate struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              corev1.PodSpec `json:"spec"`
}

// Decode reads an object of an admission request or of a cache by its kind: a Pod, a CronJob, or anything with spec.template.
// A missing template is an object without images; a template that is no template is an error that names the object. Names of fields
// count in their exact spelling, as for the API server: else "initcontainers" in a custom resource would hide "initContainers".
func Decode(kind string, raw []byte) (*Root, error) {
	var object rawRoot
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	root := &Root{TypeMeta: object.TypeMeta, ObjectMeta: object.ObjectMeta}
	if root.Kind == "" {
		root.Kind = kind
	}
	meta, spec, err := podOf(kind, &object)
	if err != nil {
		return nil, fmt.Errorf("read the pod template of %s %s/%s: %w", kind, root.Namespace, root.Name, err)
	}
	root.Template = FromPod(meta, spec)
	if kind == "Job" {
		root.Template.Labels = withJobLabels(root.Template.Labels, root.Name)
	}
	return root, nil
}

// withJobLabels adds the labels that the API server gives to the pods of a Job after mutating admission and before validating admission
// (batch/v1, strategy of Jobs): both have to see the same, or a selector on them would govern for one and not for the other.
// The name may not be known yet (generateName); then only that the label exists counts.
func withJobLabels(labels map[string]string, name string) map[string]string {
	all := map[string]string{batchv1.JobNameLabel: name, "job-name": name, batchv1.ControllerUidLabel: "", "controller-uid": ""}
	maps.Copy(all, labels)
	return all
}

func podOf(kind string, object *rawRoot) (metav1.ObjectMeta, *corev1.PodSpec, error) {
	var err error
	switch kind {
	case "Pod":
		var spec corev1.PodSpec
		if len(object.Spec) > 0 {
			err = json.Unmarshal(object.Spec, &spec)
		}
		return object.ObjectMeta, &spec, err
	case "CronJob":
		var spec struct {
			JobTemplate struct {
				Spec struct {
					Template rawTemplate `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		}
		if len(object.Spec) > 0 {
			err = json.Unmarshal(object.Spec, &spec)
		}
		found := &spec.JobTemplate.Spec.Template
		return found.ObjectMeta, &found.Spec, err
	default:
		var spec struct {
			Template rawTemplate `json:"template"`
		}
		if len(object.Spec) > 0 {
			err = json.Unmarshal(object.Spec, &spec)
		}
		return spec.Template.ObjectMeta, &spec.Template.Spec, err
	}
}
