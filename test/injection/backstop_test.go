// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// tampering is every field of a sidecar that a pod could bring otherwise.
var tampering = map[string]func(pod *corev1.Pod, airlock *corev1.Container){
	"no sidecar":        func(pod *corev1.Pod, _ *corev1.Container) { pod.Spec.InitContainers = nil },
	"not the first":     func(pod *corev1.Pod, _ *corev1.Container) { prepend(pod) },
	"image":             func(_ *corev1.Pod, a *corev1.Container) { a.Image = "evil" },
	"command":           func(_ *corev1.Pod, a *corev1.Container) { a.Command = []string{"sleep"} },
	"arguments":         func(_ *corev1.Pod, a *corev1.Container) { a.Args = []string{"run", "--debug"} },
	"no arguments":      func(_ *corev1.Pod, a *corev1.Container) { a.Args = nil },
	"working directory": func(_ *corev1.Pod, a *corev1.Container) { a.WorkingDir = "/tmp" },
	"a variable more": func(_ *corev1.Pod, a *corev1.Container) {
		a.Env = append(a.Env, corev1.EnvVar{Name: "SSLKEYLOGFILE", Value: "/x"})
	},
	"another variable": func(_ *corev1.Pod, a *corev1.Container) {
		a.Env[0] = corev1.EnvVar{Name: config.HostIPsVariable, Value: "10.0.0.1"}
	},
	"environment": func(_ *corev1.Pod, a *corev1.Container) {
		a.EnvFrom = []corev1.EnvFromSource{{Prefix: "X", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "x"}}}}
	},
	"a port": func(_ *corev1.Pod, a *corev1.Container) { a.Ports = []corev1.ContainerPort{{ContainerPort: 15090}} },
	"a hook": func(_ *corev1.Pod, a *corev1.Container) {
		a.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh"}}}}
	},
	"a liveness probe": func(_ *corev1.Pod, a *corev1.Container) { a.LivenessProbe = a.StartupProbe.DeepCopy() },
	"no startup probe": func(_ *corev1.Pod, a *corev1.Container) { a.StartupProbe = nil },
	"another probe":    func(_ *corev1.Pod, a *corev1.Container) { a.StartupProbe.HTTPGet.Host = "10.0.0.1" },
	"no restart":       func(_ *corev1.Pod, a *corev1.Container) { a.RestartPolicy, a.StartupProbe = nil, nil },
	"less memory": func(_ *corev1.Pod, a *corev1.Container) {
		a.Resources.Limits["memory"] = resource.MustParse("32Mi")
		a.Resources.Requests["memory"] = resource.MustParse("32Mi")
	},
	"no resources": func(_ *corev1.Pod, a *corev1.Container) { a.Resources = corev1.ResourceRequirements{} },
	"other resources": func(_ *corev1.Pod, a *corev1.Container) {
		a.Resources.Limits["ephemeral-storage"] = resource.MustParse("1Mi")
	},
	"root": func(_ *corev1.Pod, a *corev1.Container) {
		root, no := int64(0), false
		a.SecurityContext.RunAsUser, a.SecurityContext.RunAsNonRoot = &root, &no
	},
	"another group": func(_ *corev1.Pod, a *corev1.Container) { root := int64(0); a.SecurityContext.RunAsGroup = &root },
	"a capability": func(_ *corev1.Pod, a *corev1.Container) {
		a.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_RAW"}
	},
	"no seccomp": func(_ *corev1.Pod, a *corev1.Container) { a.SecurityContext.SeccompProfile = nil },
	"a label of SELinux": func(_ *corev1.Pod, a *corev1.Container) {
		a.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"}
	},
	"a writable root":      func(_ *corev1.Pod, a *corev1.Container) { no := false; a.SecurityContext.ReadOnlyRootFilesystem = &no },
	"no security context":  func(_ *corev1.Pod, a *corev1.Container) { a.SecurityContext = nil },
	"a writable mount":     func(_ *corev1.Pod, a *corev1.Container) { a.VolumeMounts[0].ReadOnly = false },
	"a mount elsewhere":    func(_ *corev1.Pod, a *corev1.Container) { a.VolumeMounts[0].MountPath = "/keys" },
	"a part of the volume": func(_ *corev1.Pod, a *corev1.Container) { a.VolumeMounts[0].SubPath = "identity" },
	"a mount more": func(pod *corev1.Pod, a *corev1.Container) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "more", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		a.VolumeMounts = append(a.VolumeMounts, corev1.VolumeMount{Name: "more", MountPath: "/more"})
	},
	"a volume in the place of the token": func(pod *corev1.Pod, a *corev1.Container) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "more", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		a.VolumeMounts[1].Name = "more"
	},
	"the token": func(_ *corev1.Pod, a *corev1.Container) { a.VolumeMounts = a.VolumeMounts[:1] },
	"messages over its files": func(_ *corev1.Pod, a *corev1.Container) {
		a.TerminationMessagePath = config.Directory + "/" + config.FileName
	},
	"messages of its log": func(_ *corev1.Pod, a *corev1.Container) {
		a.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	},
	"standard input": func(_ *corev1.Pod, a *corev1.Container) { a.Stdin = true },
	"another secret": func(pod *corev1.Pod, _ *corev1.Container) {
		ours(pod).Sources[0].Secret.Name = "labguard-engine" + salted
	},
	"all of the secret":     func(pod *corev1.Pod, _ *corev1.Container) { ours(pod).Sources[0].Secret.Items = nil },
	"another configuration": func(pod *corev1.Pod, _ *corev1.Container) { ours(pod).Sources[1].ConfigMap.Name = "mine" },
	"a bundle less":         func(pod *corev1.Pod, _ *corev1.Container) { ours(pod).Sources = ours(pod).Sources[:3] },
	"another bundle": func(pod *corev1.Pod, _ *corev1.Container) {
		mine := "mine"
		ours(pod).Sources[2].ClusterTrustBundle.Name = &mine
	},
	"a bundle of a ConfigMap": func(pod *corev1.Pod, _ *corev1.Container) {
		ours(pod).Sources[2] = corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "mine"}}}
	},
	"another mode":     func(pod *corev1.Pod, _ *corev1.Container) { mode := int32(0o400); ours(pod).DefaultMode = &mode },
	"no alias":         func(pod *corev1.Pod, _ *corev1.Container) { pod.Spec.HostAliases = nil },
	"another alias":    func(pod *corev1.Pod, _ *corev1.Container) { pod.Spec.HostAliases[0].Hostnames = []string{"lis"} },
	"another workload": func(pod *corev1.Pod, _ *corev1.Container) { pod.Labels[v1alpha1.WorkloadLabel] = "other" },
	"no hash":          func(pod *corev1.Pod, _ *corev1.Container) { delete(pod.Labels, v1alpha1.AirlockLabel) },
	"a redirect of no use": func(pod *corev1.Pod, _ *corev1.Container) {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: config.RedirectContainerName, Image: airlockImage})
	},
}

// loosened is what the guards let pass, since other policies and webhooks change it, and what the API server would not take; it is put right nevertheless.
var loosened = map[string]func(*corev1.Pod, *corev1.Container){
	"a processor limit":   func(_ *corev1.Pod, a *corev1.Container) { a.Resources.Limits["cpu"] = resource.MustParse("10m") },
	"another pull policy": func(_ *corev1.Pod, a *corev1.Container) { a.ImagePullPolicy = corev1.PullAlways },
	"no image":            func(_ *corev1.Pod, a *corev1.Container) { a.Image = "" },
}

// What a pod brings under the sidecar's names is replaced by the sidecar of the profile, or the pod is refused. Such a pod is what another policy or webhook has changed after labguard.
func TestATamperedSidecarIsReplaced(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis"))
	all := maps.Clone(tampering)
	maps.Copy(all, loosened)
	for name, tamper := range all {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			pod := l.equipped("lis-0")
			tamper(pod, &pod.Spec.InitContainers[0])
			pod, err := l.dryRun(t.Context(), pod)
			if l.by(err, injection.BackstopName) && name == "another alias" { // it has the address of the profile's
				return
			}
			l.Must(err)
			var volumes []corev1.Volume
			for _, one := range pod.Spec.Volumes {
				if one.Name == config.VolumeName {
					volumes = append(volumes, one)
				}
			}
			if diff := cmp.Diff(sidecar(), pod.Spec.InitContainers[0], quantities); diff != "" {
				t.Errorf("the sidecar (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]corev1.Volume{volume()}, volumes); diff != "" {
				t.Errorf("its volume (-want +got):\n%s", diff)
			}
			if got := pod.Labels[v1alpha1.WorkloadLabel] + " " + pod.Labels[v1alpha1.AirlockLabel]; got != "lis lis-one" {
				t.Errorf("its labels: %s", got)
			}
		})
	}
}

func prepend(pod *corev1.Pod) {
	pod.Spec.InitContainers = append([]corev1.Container{{Name: "first", Image: appImage}}, pod.Spec.InitContainers...)
}

func ours(pod *corev1.Pod) *corev1.ProjectedVolumeSource { return pod.Spec.Volumes[0].Projected }

// equipped is a pod that brings the sidecar as labguard would add it.
func (l lab) equipped(name string) *corev1.Pod {
	return l.pod(name, "lis", func(pod *corev1.Pod) {
		pod.Labels[v1alpha1.WorkloadLabel], pod.Labels[v1alpha1.AirlockLabel] = "lis", "lis-one"
		pod.Spec.InitContainers, pod.Spec.Volumes = []corev1.Container{sidecar()}, []corev1.Volume{volume()}
		pod.Spec.HostAliases = []corev1.HostAlias{{IP: "127.0.64.1", Hostnames: []string{"lis", "lis.pathology", "lis.pathology.svc"}}}
	})
}

// Nothing is injected here: whatever a pod brings reaches the guards as it is.
func TestOnlyTheSidecarOfTheProfileIsLetIn(t *testing.T) {
	l := newLab(t)
	l.guard(l.config())
	l.awaitGuards()
	profile := l.profile("lis")
	l.Must(l.write(tenancy.Labguard, profile))
	l.Eventually("the profile is in effect", func(ctx ctx) (bool, error) {
		_, err := l.dryRun(ctx, l.pod("probe", "lis"))
		return l.by(err, injection.BackstopName), nil
	})
	_, err := l.dryRun(t.Context(), l.equipped("lis-0"))
	l.Passes(err)
	for name, tamper := range tampering {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			pod := l.equipped("thief")
			tamper(pod, &pod.Spec.InitContainers[0])
			_, err := l.dryRun(t.Context(), pod)
			if !l.by(err, injection.BackstopName) && !l.by(err, injection.LiveName) && !l.by(err, injection.ReadersName) {
				t.Errorf("not refused by a guard: %v", err)
			}
		})
	}
}
