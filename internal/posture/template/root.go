// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/labguard/labguard/internal/posture"
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

// LeaveOutAirlock leaves the sidecar of a pod out of its images (posture.WithoutAirlock). A template has none: labguard adds it to pods.
func (r *Root) LeaveOutAirlock(airlock ...string) {
	if r.Kind == "Pod" {
		r.Template.Images = posture.WithoutAirlock(r.Template.Images, airlock...)
	}
}

// Held says whether labguard keeps the object from rolling out what it declares.
func (r *Root) Held() bool {
	return hold.Marked(r.Annotations) || r.Kind == "Pod" && r.Template.Gated
}

// Decode reads an object of an admission request or of a cache by its kind: a Pod, a CronJob, or anything with spec.template.
// A missing template is an object without images; a template that is no template is an error that names the object. Names of fields
// count in their exact spelling, as for the API server: else "initcontainers" in a custom resource would hide "initContainers".
// Managed fields are left out.
func Decode(kind string, raw []byte) (*Root, error) {
	var object rawRoot
	if err := object.read(kind, raw); err != nil {
		return nil, unreadable(kind, raw, err)
	}
	root := &Root{TypeMeta: object.TypeMeta, ObjectMeta: object.ObjectMeta, Template: object.template()}
	if root.Kind == "" {
		root.Kind = kind
	}
	if kind == "Job" {
		root.Template.Labels = withJobLabels(root.Template.Labels, root.Name)
	}
	return root, nil
}

// unreadable says whether it is the object or its pod template that cannot be read.
func unreadable(kind string, raw []byte, cause error) error {
	var object metav1.PartialObjectMetadata
	if err := json.Unmarshal(raw, &object); err != nil {
		return fmt.Errorf("read %s: %w", kind, err)
	}
	return fmt.Errorf("read the pod template of %s %s/%s: %w", kind, object.Namespace, object.Name, cause)
}

// withJobLabels adds the labels that the API server gives to the pods of a Job after mutating admission and before validating admission
// (batch/v1, strategy of Jobs): both have to see the same, or a selector on them would govern for one and not for the other.
// The name may not be known yet (generateName); then only that the label exists counts.
func withJobLabels(labels map[string]string, name string) map[string]string {
	all := map[string]string{batchv1.JobNameLabel: name, "job-name": name, batchv1.ControllerUidLabel: "", "controller-uid": ""}
	maps.Copy(all, labels)
	return all
}
