// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

const (
	airlockImage = "registry.example/airlock@sha256:0000000000000000000000000000000000000000000000000000000000000001"
	newerImage   = "registry.example/airlock@sha256:0000000000000000000000000000000000000000000000000000000000000002"
	appImage     = "registry.example/app:1"
)

// profile is that of a LabWorkload that selects app=<name>.
func (l lab) profile(name string, change ...func(*v1alpha1.AirlockProfileSpec)) *v1alpha1.AirlockProfile {
	profile := &v1alpha1.AirlockProfile{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "labguard-" + name},
		Spec: v1alpha1.AirlockProfileSpec{
			Workload: name, LabWorkload: name, Stage: v1alpha1.TransitStagePermissive,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Current:  revision(name, "one", airlockImage),
		},
	}
	for _, one := range change {
		one(&profile.Spec)
	}
	return profile
}

// revision is a state of the sidecar with everything but a redirect.
func revision(name, hash, image string) v1alpha1.AirlockRevision {
	return v1alpha1.AirlockRevision{
		Hash: name + "-" + hash, Image: image, Memory: 64 << 20, Secret: "labguard-" + name + salted, ConfigMap: "labguard-" + name,
		Bundles: []v1alpha1.AirlockBundle{
			{Name: "labguard-trust-lab.example", Path: "trust/lab.example.pem"}, {Name: "labguard-authority-vendor", Path: "authorities/vendor.pem"},
		},
		HostAliases: []v1alpha1.AirlockHostAlias{{IP: "127.0.64.1", Hostnames: []string{"lis", "lis.pathology", "lis.pathology.svc"}}},
	}
}

// declare writes the profile of a LabWorkload as labguard does, and returns when it is in effect: pods are made with what is in the caches of the API server.
func (l lab) declare(profile *v1alpha1.AirlockProfile) {
	l.Helper()
	l.Must(l.client(tenancy.Labguard).Create(l.Context(), profile))
	l.awaitProfile(profile)
}

// redeclare changes a profile as labguard does.
func (l lab) redeclare(profile *v1alpha1.AirlockProfile, change func(*v1alpha1.AirlockProfileSpec)) {
	l.Helper()
	change(&profile.Spec)
	l.Must(l.client(tenancy.Labguard).Update(l.Context(), profile))
	l.awaitProfile(profile)
}

func (l lab) awaitProfile(profile *v1alpha1.AirlockProfile) {
	l.Helper()
	want := profile.Spec.Current.Hash
	if profile.Spec.Selector == nil {
		want = ""
	}
	l.Eventually("the profile is in effect", func(ctx context.Context) (bool, error) {
		pod, err := l.dryRun(ctx, l.pod("probe", profile.Spec.LabWorkload))
		return err == nil && pod.Labels[v1alpha1.AirlockLabel] == want, nil
	})
}

// withdraw deletes a profile, and returns when no pod gets it any more.
func (l lab) withdraw(profile *v1alpha1.AirlockProfile) {
	l.Helper()
	l.Must(l.client(tenancy.Labguard).Delete(l.Context(), profile))
	l.Eventually("the profile is gone", func(ctx context.Context) (bool, error) {
		pod, err := l.dryRun(ctx, l.pod("probe", profile.Spec.LabWorkload))
		return err == nil && len(pod.Spec.InitContainers) == 0, nil
	})
}

// pod is one of an application with the label app.
func (l lab) pod(name, app string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: name, Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			InitContainers: nil,
			Containers:     []corev1.Container{{Name: "app", Image: appImage}},
		},
	}
	for _, one := range change {
		one(pod)
	}
	return pod
}

// create creates a pod as the tenant.
func (l lab) create(pod *corev1.Pod) (*corev1.Pod, error) {
	l.Helper()
	pod = pod.DeepCopy()
	err := l.client(l.Tenant).Create(l.Context(), pod)
	return pod, err
}

// patch changes a pod, or something below it, as a user.
func (l lab) patch(user string, pod *corev1.Pod, kind patchKind, body string, subresource ...string) error {
	l.Helper()
	_, err := l.typed(user).CoreV1().Pods(l.Namespace).Patch(l.Context(), pod.Name, kind, []byte(body), metav1.PatchOptions{}, subresource...)
	return err
}

// airlockVolume is what a pod would bring that knows what labguard's looks like.
func airlockVolume(name string) corev1.Volume {
	mode := int32(0o444)
	return corev1.Volume{Name: config.VolumeName, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: &mode,
		Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "labguard-" + name + salted},
		}}},
	}}}
}

// forged is a pod that feigns to be of a LabWorkload, with a sidecar of its own.
func (l lab) forged(name, app, workload, hash string) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	return l.pod(name, app, func(pod *corev1.Pod) {
		pod.Labels[v1alpha1.WorkloadLabel], pod.Labels[v1alpha1.AirlockLabel] = workload, hash
		pod.Spec.InitContainers = []corev1.Container{{
			Name: config.ContainerName, Image: "registry.example/evil", Command: []string{"sleep"}, RestartPolicy: &always,
			VolumeMounts: []corev1.VolumeMount{{Name: config.VolumeName, MountPath: config.Directory}},
		}}
		pod.Spec.Volumes = []corev1.Volume{airlockVolume(workload)}
	})
}

// keyOf has the application of a forged pod mount the identity of a LabWorkload under the name of the sidecar's volume.
func keyOf(owner string, pod *corev1.Pod) *corev1.Pod {
	pod.Spec.Volumes = []corev1.Volume{airlockVolume(owner)}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: config.VolumeName, MountPath: "/stolen"}}
	return pod
}

func unhashed(pod *corev1.Pod) *corev1.Pod {
	delete(pod.Labels, v1alpha1.AirlockLabel)
	return pod
}

// certificate is an object of cert-manager's that names an issuer.
func (l lab) certificate(kind, name, issuerKind, issuer string) *unstructured.Unstructured {
	spec := map[string]any{"issuerRef": map[string]any{"kind": issuerKind, "name": issuer}}
	if kind == "Certificate" {
		spec["secretName"], spec["dnsNames"] = name+"-tls", []any{"lis.example"}
	} else {
		spec["request"] = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K"
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": map[string]any{"namespace": l.Namespace, "name": name}, "spec": spec,
	}}
}

// write creates an object as a user.
func (l lab) write(user string, object client.Object) error {
	l.Helper()
	return l.client(user).Create(l.Context(), object)
}

// list gives quantities by pairs of name and amount.
func list(pairs ...string) corev1.ResourceList {
	amounts := corev1.ResourceList{}
	for i := 0; i+1 < len(pairs); i += 2 {
		amounts[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return amounts
}

func bundle() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle", "metadata": map[string]any{"name": "labguard-trust-lab.example"},
		"spec": map[string]any{"trustBundle": ""},
	}}
}

func replace(text, name string) string { return strings.ReplaceAll(text, "NAME", name) }
