// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// FromObject reads an object of one of the built-in kinds that make pods, or a pod. It is false for any other.
func FromObject(object runtime.Object) (Root, bool) {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return root("apps/v1", "Deployment", o.ObjectMeta, &o.Spec.Template), true
	case *appsv1.StatefulSet:
		return root("apps/v1", "StatefulSet", o.ObjectMeta, &o.Spec.Template), true
	case *appsv1.DaemonSet:
		return root("apps/v1", "DaemonSet", o.ObjectMeta, &o.Spec.Template), true
	case *appsv1.ReplicaSet:
		return root("apps/v1", "ReplicaSet", o.ObjectMeta, &o.Spec.Template), true
	case *corev1.ReplicationController:
		pods := o.Spec.Template
		if pods == nil {
			pods = &corev1.PodTemplateSpec{}
		}
		return root("v1", "ReplicationController", o.ObjectMeta, pods), true
	case *batchv1.Job:
		return root("batch/v1", "Job", o.ObjectMeta, &o.Spec.Template), true
	case *batchv1.CronJob:
		return root("batch/v1", "CronJob", o.ObjectMeta, &o.Spec.JobTemplate.Spec.Template), true
	case *corev1.Pod:
		return root("v1", "Pod", o.ObjectMeta, &corev1.PodTemplateSpec{ObjectMeta: o.ObjectMeta, Spec: o.Spec}), true
	default:
		return Root{}, false
	}
}

func root(apiVersion, kind string, meta metav1.ObjectMeta, pods *corev1.PodTemplateSpec) Root {
	return Root{
		TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}, ObjectMeta: meta,
		Template: FromPod(pods.ObjectMeta, &pods.Spec),
	}
}
