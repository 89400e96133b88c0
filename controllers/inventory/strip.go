// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Strip is the transform of the caches: it leaves of an object that makes pods, and of a pod, what decisions need: names, labels,
// owners, labguard's annotations, images, ports, probed ports, host aliases, node and addresses. Environment variables never enter a cache.
func Strip(object any) (any, error) {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return &appsv1.Deployment{
			TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta),
			Spec: appsv1.DeploymentSpec{Replicas: o.Spec.Replicas, Template: stripTemplate(o.Spec.Template)},
		}, nil
	case *appsv1.StatefulSet:
		return &appsv1.StatefulSet{
			TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta),
			Spec: appsv1.StatefulSetSpec{Template: stripTemplate(o.Spec.Template), UpdateStrategy: o.Spec.UpdateStrategy, Ordinals: o.Spec.Ordinals},
		}, nil
	case *appsv1.DaemonSet:
		return &appsv1.DaemonSet{
			TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta), Spec: appsv1.DaemonSetSpec{Template: stripTemplate(o.Spec.Template)},
		}, nil
	case *appsv1.ReplicaSet:
		return &appsv1.ReplicaSet{
			TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta), Spec: appsv1.ReplicaSetSpec{Template: stripTemplate(o.Spec.Template)},
		}, nil
	case *corev1.ReplicationController:
		stripped := &corev1.ReplicationController{TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta)}
		if o.Spec.Template != nil {
			pods := stripTemplate(*o.Spec.Template)
			stripped.Spec.Template = &pods
		}
		return stripped, nil
	case *batchv1.Job:
		return &batchv1.Job{
			TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta), Spec: batchv1.JobSpec{Template: stripTemplate(o.Spec.Template)},
		}, nil
	case *batchv1.CronJob:
		stripped := &batchv1.CronJob{TypeMeta: o.TypeMeta, ObjectMeta: stripMeta(o.ObjectMeta)}
		stripped.Spec.JobTemplate.Spec.Template = stripTemplate(o.Spec.JobTemplate.Spec.Template)
		return stripped, nil
	case *corev1.Pod:
		return stripPod(o), nil
	default:
		return object, nil
	}
}

// StripManagedFields is the transform of everything else: it drops managedFields from what labguard has not written. On its own children
// they say what it owns.
func StripManagedFields(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok && o.GetLabels()[v1alpha1.ManagedByLabel] != v1alpha1.ManagedByValue {
		o.SetManagedFields(nil)
	}
	return object, nil
}

func stripMeta(meta metav1.ObjectMeta) metav1.ObjectMeta {
	annotations := maps.Clone(meta.Annotations)
	maps.DeleteFunc(annotations, func(key, _ string) bool {
		return !strings.HasPrefix(key, "labguard.dev/") && !strings.HasPrefix(key, "prometheus.io/")
	})
	return metav1.ObjectMeta{
		Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, ResourceVersion: meta.ResourceVersion, Generation: meta.Generation,
		CreationTimestamp: meta.CreationTimestamp, DeletionTimestamp: meta.DeletionTimestamp,
		Labels: meta.Labels, Annotations: annotations, OwnerReferences: meta.OwnerReferences,
	}
}

func stripTemplate(pods corev1.PodTemplateSpec) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: pods.Labels}, Spec: stripPodSpec(&pods.Spec),
	}
}

func stripPodSpec(spec *corev1.PodSpec) corev1.PodSpec {
	stripped := corev1.PodSpec{
		NodeName: spec.NodeName, NodeSelector: spec.NodeSelector, HostNetwork: spec.HostNetwork,
		ServiceAccountName: spec.ServiceAccountName, ImagePullSecrets: spec.ImagePullSecrets, SchedulingGates: spec.SchedulingGates,
		InitContainers: stripContainers(spec.InitContainers), Containers: stripContainers(spec.Containers), HostAliases: spec.HostAliases,
	}
	for i := range spec.Volumes {
		if spec.Volumes[i].Image != nil {
			stripped.Volumes = append(stripped.Volumes, spec.Volumes[i])
		}
	}
	return stripped
}

func stripContainers(containers []corev1.Container) []corev1.Container {
	stripped := make([]corev1.Container, len(containers))
	for i := range containers {
		stripped[i] = corev1.Container{
			Name: containers[i].Name, Image: containers[i].Image, Ports: containers[i].Ports, RestartPolicy: containers[i].RestartPolicy,
			StartupProbe: stripProbe(containers[i].StartupProbe), LivenessProbe: stripProbe(containers[i].LivenessProbe),
			ReadinessProbe: stripProbe(containers[i].ReadinessProbe),
		}
	}
	return stripped
}

// stripProbe leaves the port that is probed, as if it were probed by opening a connection, and nothing of what is sent there.
func stripProbe(probe *corev1.Probe) *corev1.Probe {
	if probe == nil {
		return nil
	}
	var port intstr.IntOrString
	switch {
	case probe.HTTPGet != nil:
		port = probe.HTTPGet.Port
	case probe.TCPSocket != nil:
		port = probe.TCPSocket.Port
	case probe.GRPC != nil:
		port = intstr.FromInt32(probe.GRPC.Port)
	default:
		return nil
	}
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port}}}
}

func stripPod(pod *corev1.Pod) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta: pod.TypeMeta, ObjectMeta: stripMeta(pod.ObjectMeta), Spec: stripPodSpec(&pod.Spec),
		Status: corev1.PodStatus{
			Phase: pod.Status.Phase, PodIP: pod.Status.PodIP, PodIPs: pod.Status.PodIPs,
			InitContainerStatuses: stripStatuses(pod.Status.InitContainerStatuses),
			ContainerStatuses:     stripStatuses(pod.Status.ContainerStatuses),
		},
	}
}

func stripStatuses(statuses []corev1.ContainerStatus) []corev1.ContainerStatus {
	stripped := make([]corev1.ContainerStatus, len(statuses))
	for i := range statuses {
		stripped[i] = corev1.ContainerStatus{Name: statuses[i].Name, Image: statuses[i].Image, ImageID: statuses[i].ImageID}
	}
	return stripped
}

// StripNode is the transform of nodes: their operating system and architecture, whether they take pods, and nothing else.
func StripNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	return &corev1.Node{
		TypeMeta:   node.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion},
		Spec:       corev1.NodeSpec{Unschedulable: node.Spec.Unschedulable},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{
			OperatingSystem: node.Status.NodeInfo.OperatingSystem, Architecture: node.Status.NodeInfo.Architecture,
		}},
	}, nil
}
