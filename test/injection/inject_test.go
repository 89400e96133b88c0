// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
)

type (
	patchKind = types.PatchType
	ctx       = context.Context
	podOf     = corev1.Pod
)

func TestASelectedPodGetsTheSidecar(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis"))
	pod, err := l.dryRun(t.Context(), l.pod("lis-0", "lis", func(pod *corev1.Pod) {
		pod.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: appImage}}
	}))
	l.Must(err)
	if len(pod.Spec.InitContainers) != 2 || pod.Spec.InitContainers[0].Name != config.ContainerName || pod.Spec.InitContainers[1].Name != "migrate" {
		t.Fatalf("init containers: %v", pod.Spec.InitContainers)
	}
	if diff := cmp.Diff(sidecar(), pod.Spec.InitContainers[0], quantities); diff != "" {
		t.Errorf("the sidecar (-want +got):\n%s", diff)
	}
	var ours []corev1.Volume
	for _, volume := range pod.Spec.Volumes {
		if volume.Name == config.VolumeName {
			ours = append(ours, volume)
		}
	}
	if diff := cmp.Diff([]corev1.Volume{volume()}, ours); diff != "" {
		t.Errorf("the volume (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.HostAlias{{IP: "127.0.64.1", Hostnames: []string{"lis", "lis.pathology", "lis.pathology.svc"}}}, pod.Spec.HostAliases); diff != "" {
		t.Errorf("host aliases (-want +got):\n%s", diff)
	}
	want := map[string]string{"app": "lis", v1alpha1.WorkloadLabel: "lis", v1alpha1.AirlockLabel: "lis-one"}
	if diff := cmp.Diff(want, pod.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if _, err := l.create(l.pod("lis-0", "lis")); err != nil {
		t.Errorf("the pod is refused: %v", err)
	}
}

var quantities = cmp.Comparer(func(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, quantity := range a {
		if other := b[name]; quantity.Cmp(other) != 0 {
			return false
		}
	}
	return true
})

// sidecar is what airlock is to look like in a pod.
func sidecar() corev1.Container {
	always, user, yes, no := corev1.ContainerRestartPolicyAlways, int64(config.UserID), true, false
	return corev1.Container{
		Name: config.ContainerName, Image: airlockImage, Args: []string{"run"}, ImagePullPolicy: corev1.PullIfNotPresent, RestartPolicy: &always,
		TerminationMessagePath: corev1.TerminationMessagePathDefault, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		Env: []corev1.EnvVar{{
			Name: config.HostIPsVariable, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.hostIPs"}},
		}},
		StartupProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Path: "/healthz", Port: intstr.FromInt32(config.HealthPort), Scheme: corev1.URISchemeHTTP,
			}},
			PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 60,
		},
		Resources: corev1.ResourceRequirements{Requests: list("cpu", "10m", "memory", "64Mi"), Limits: list("memory", "64Mi")},
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
			Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: config.VolumeName, MountPath: config.Directory, ReadOnly: true}, {Name: config.VolumeName, MountPath: tokenPath, ReadOnly: true},
		},
	}
}

// tokenPath is where the API server mounts the token of the service account into containers that have nothing there.
const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a path

func volume() corev1.Volume {
	yes, mode := true, int32(0o444)
	bundle := func(name, path string) corev1.VolumeProjection {
		return corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{Name: &name, Optional: &yes, Path: path}}
	}
	return corev1.Volume{Name: config.VolumeName, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: stolen}, Optional: &yes,
				Items: []corev1.KeyToPath{{Key: "tls.crt", Path: config.CertificateFile}, {Key: "tls.key", Path: config.KeyFile}},
			}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "labguard-lis"}, Optional: &yes,
				Items: []corev1.KeyToPath{{Key: config.FileName, Path: config.FileName}},
			}},
			bundle("labguard-trust-lab.example", "trust/lab.example.pem"), bundle("labguard-authority-vendor", "authorities/vendor.pem"),
		},
	}}}
}
