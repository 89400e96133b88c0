// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// sharing lets a pod bring something along that is at odds with a sidecar.
var sharing = map[string]struct {
	change        func(*corev1.Pod)
	policy, words string
}{
	"an application that mounts the sidecar's volume": {
		func(pod *corev1.Pod) {
			pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: config.VolumeName, MountPath: "/keys"}}
		}, injection.BackstopName, "only the sidecar",
	},
	"an init container that mounts the sidecar's volume": {
		func(pod *corev1.Pod) {
			pod.Spec.InitContainers = []corev1.Container{{
				Name: "copy", Image: appImage, VolumeMounts: []corev1.VolumeMount{{Name: config.VolumeName, MountPath: "/keys"}},
			}}
		}, injection.BackstopName, "only the sidecar",
	},
	"a volume with another name of labguard's": {
		func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "labguard-other", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		}, injection.BackstopName, "volumes whose names begin with labguard-",
	},
	"an application that runs as the sidecar's user": {
		func(pod *corev1.Pod) {
			user := int64(config.UserID)
			pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: &user}
		}, injection.BackstopName, "the user 64000",
	},
	"a pod that runs as the sidecar's user": {
		func(pod *corev1.Pod) {
			user := int64(config.UserID)
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user}
		}, injection.BackstopName, "the user 64000",
	},
	"hostNetwork": {func(pod *corev1.Pod) { pod.Spec.HostNetwork = true }, injection.BackstopName, "hostNetwork"},
	"hostPID":     {func(pod *corev1.Pod) { pod.Spec.HostPID = true }, injection.BackstopName, "hostPID"},
	"hostIPC":     {func(pod *corev1.Pod) { pod.Spec.HostIPC = true }, injection.BackstopName, "hostIPC"},
	"a shared process namespace": {
		func(pod *corev1.Pod) { yes := true; pod.Spec.ShareProcessNamespace = &yes }, injection.BackstopName, "shareProcessNamespace",
	},
	"a port of the host": {
		func(pod *corev1.Pod) {
			pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 2575, HostPort: 2575}}
		}, injection.BackstopName, "hostPort",
	},
	"an alias at the address of an upstream": {
		func(pod *corev1.Pod) {
			pod.Spec.HostAliases = []corev1.HostAlias{{IP: "127.0.64.1", Hostnames: []string{"mine"}}}
		},
		injection.BackstopName, "hostAliases",
	},
}

func TestAPodThatIsAtOddsWithItsSidecarIsRefused(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis"))
	for name, attack := range sharing {
		t.Run(name, func(t *testing.T) {
			_, err := l.in(t).create(l.pod("thief", "lis", attack.change))
			l.in(t).refused(err, attack.policy, attack.words)
		})
		t.Run(name+" in a pod that no profile selects", func(t *testing.T) {
			pod := l.pod("other", "other", attack.change)
			if len(pod.Spec.Containers[0].VolumeMounts) > 0 || len(pod.Spec.InitContainers) > 0 {
				return // has no such volume, and is invalid
			}
			_, err := l.in(t).dryRun(t.Context(), pod)
			l.in(t).Passes(err)
		})
	}
}

// A pod may bring a container, a volume and labels that are called as labguard's are. Those of a pod that is selected are replaced; any other
// pod with them is refused.
func TestASidecarThatAPodBringsIsReplacedOrRefused(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis", func(spec *v1alpha1.AirlockProfileSpec) {
		before := revision("lis", "before", newerImage)
		before.Secret = "labguard-lis-before" + salted
		spec.Known = []v1alpha1.AirlockRevision{revision("lis", "zero", newerImage), before}
	}))
	l.declare(l.profile("engine"))
	t.Run("replaced", func(t *testing.T) {
		pod, err := l.in(t).dryRun(t.Context(), l.forged("thief", "lis", "lis", "lis-zero"))
		l.in(t).Must(err)
		if got := pod.Spec.InitContainers[0]; len(pod.Spec.InitContainers) != 1 || got.Image != airlockImage || len(got.Command) > 0 {
			t.Errorf("init containers: %v", pod.Spec.InitContainers)
		}
		if pod.Labels[v1alpha1.AirlockLabel] != "lis-one" {
			t.Errorf("labels: %v", pod.Labels)
		}
	})
	for name, pod := range map[string]*corev1.Pod{
		"with the present hash":          l.forged("thief", "other", "lis", "lis-one"),
		"with an earlier hash":           l.forged("thief", "other", "lis", "lis-zero"),
		"with a hash of nobody":          l.forged("thief", "other", "lis", "nobody"),
		"with the workload of nobody":    l.forged("thief", "other", "nobody", "lis-one"),
		"with the hash of another":       l.forged("thief", "other", "engine", "lis-one"),
		"with the name in another order": l.forged("thief", "other", "engine", "engine-one"),
		"with the key of another":        keyOf("lis", l.forged("thief", "other", "nobody", "nobody")),
		"with the key of another before": keyOf("lis-before", l.forged("thief", "other", "nobody", "nobody")),
		"with the key, without a hash":   keyOf("lis", unhashed(l.forged("thief", "other", "nobody", ""))),
	} {
		t.Run("refused "+name, func(t *testing.T) {
			_, err := l.in(t).create(pod)
			l.in(t).refused(err, injection.BackstopName, "does not select it")
		})
	}
	t.Run("refused with a label and without a sidecar", func(t *testing.T) {
		for _, label := range []string{v1alpha1.WorkloadLabel, v1alpha1.AirlockLabel} {
			_, err := l.in(t).create(l.pod("thief", "other", func(pod *corev1.Pod) { pod.Labels[label] = "lis" }))
			if l.in(t).by(err, injection.BackstopName) { // both refuse it, and the API server names one of them
				continue
			}
			l.in(t).refused(err, injection.LiveName, "are on pods with the sidecar airlock only")
		}
	})
	t.Run("refused with the labels of two LabWorkloads", func(t *testing.T) {
		l := l.in(t)
		second := l.profile("second", func(spec *v1alpha1.AirlockProfileSpec) {
			spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "second", Operator: metav1.LabelSelectorOpExists}}}
		})
		l.Must(l.write(tenancy.Labguard, second))
		both := l.pod("both", "lis", func(pod *corev1.Pod) { pod.Labels["second"] = "yes" })
		l.Eventually("both select the pod", func(ctx ctx) (bool, error) {
			_, err := l.dryRun(ctx, both)
			return l.by(err, injection.BackstopName), nil
		})
	})
}

// attackLive tries what changes the sidecar of a live pod, takes its labels off or comes near to its files. None of it depends on a profile.
func (l lab) attackLive(pod *corev1.Pod) {
	merge, json, strategic := types.MergePatchType, types.JSONPatchType, types.StrategicMergePatchType
	debug := func(fields string) string {
		return `{"spec":{"ephemeralContainers":[{"name":"debug","image":"registry.example/debug"` + fields + `}]}}`
	}
	label := func(key, value string) string { return fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, key, value) }
	for name, attack := range map[string]struct {
		kind        patchKind
		body        string
		subresource []string
		words       string
	}{
		"another image of the sidecar": {json, `[{"op":"replace","path":"/spec/initContainers/0/image","value":"evil"}]`, nil, "cannot change on a live pod"},
		"another size of the sidecar": {
			strategic, `{"spec":{"initContainers":[{"name":"airlock","resources":{"requests":{"cpu":"20m"}}}]}}`, []string{"resize"}, "cannot change on a live pod",
		},
		"without the label of the workload": {merge, label(v1alpha1.WorkloadLabel, "null"), nil, "never change"},
		"with another workload":             {merge, label(v1alpha1.WorkloadLabel, `"nobody"`), nil, "never change"},
		"without the hash":                  {merge, label(v1alpha1.AirlockLabel, "null"), nil, "never change"},
		"with another hash":                 {merge, label(v1alpha1.AirlockLabel, `"lis-zero"`), nil, "never change"},
		"a debug container that mounts the keys": {
			strategic, debug(`,"volumeMounts":[{"name":"` + config.VolumeName + `","mountPath":"/keys"}]`), []string{"ephemeralcontainers"}, "a debug container",
		},
		"a debug container among the sidecar's processes": {strategic, debug(`,"targetContainerName":"airlock"`), []string{"ephemeralcontainers"}, "a debug container"},
		"a debug container as the sidecar's user": {
			strategic, debug(`,"securityContext":{"runAsUser":64000}`), []string{"ephemeralcontainers"}, "a debug container",
		},
	} {
		l.Run(name, func(t *testing.T) {
			l := l.in(t)
			l.refused(l.patch(l.Tenant, pod, attack.kind, attack.body, attack.subresource...), injection.LiveName, attack.words)
		})
	}
	l.Run("a status with another label", func(t *testing.T) {
		l := l.in(t)
		l.refused(l.patch("", pod, merge, label(v1alpha1.WorkloadLabel, "null"), "status"), injection.LiveName, "never change")
	})
}

// useLive does what everybody does with a pod.
func (l lab) useLive(pod *corev1.Pod) {
	merge, strategic := types.MergePatchType, types.StrategicMergePatchType
	l.Run("what everybody does with a pod", func(t *testing.T) {
		l := l.in(t)
		l.Passes(l.patch(l.Tenant, pod, merge, `{"metadata":{"annotations":{"note":"looked at"}}}`))
		l.Passes(l.patch(l.Tenant, pod, merge, `{"metadata":{"labels":{"shift":"night"}}}`))
		l.Passes(l.patch(l.Tenant, pod, merge, `{"metadata":{"finalizers":["batch.kubernetes.io/job-tracking"]}}`))
		l.Passes(l.patch(l.Tenant, pod, merge, `{"metadata":{"finalizers":null}}`))
		l.Passes(l.patch(l.Tenant, pod, strategic, `{"spec":{"containers":[{"name":"app","image":"registry.example/app:2"}]}}`))
		l.Passes(l.patch(l.Tenant, pod, strategic, `{"spec":{"containers":[{"name":"app","resources":{"requests":{"cpu":"20m"}}}]}}`, "resize"))
		l.Passes(l.patch(l.Tenant, pod, strategic,
			`{"spec":{"ephemeralContainers":[{"name":"look","image":"registry.example/debug","targetContainerName":"app"}]}}`, "ephemeralcontainers"))
		l.Passes(l.patch("", pod, merge, `{"status":{"phase":"Running"}}`, "status"))
		l.Passes(l.patch(tenancy.Labguard, pod, merge, `{"metadata":{"annotations":{"labguard.dev/sync":"1"}}}`))
	})
}

func TestALivePodKeepsItsSidecar(t *testing.T) {
	l := newLab(t)
	l.govern()
	profile := l.profile("lis")
	l.declare(profile)
	pod, err := l.create(l.pod("lis-0", "lis", sized))
	l.Must(err)
	other, err := l.create(l.pod("other", "other"))
	l.Must(err)
	relabel := func(value string) string { return `{"metadata":{"labels":{"app":` + value + `}}}` }
	t.Run("the labels that it is selected by", func(t *testing.T) {
		l := l.in(t)
		l.refused(l.patch(l.Tenant, pod, types.MergePatchType, relabel("null")), injection.BackstopName, "cannot change on a live pod")
		l.refused(l.patch(l.Tenant, pod, types.MergePatchType, relabel(`"free"`)), injection.BackstopName, "cannot change on a live pod")
		l.refused(l.patch(l.Tenant, other, types.MergePatchType, relabel(`"lis"`)), injection.BackstopName, "cannot change on a live pod")
		l.refused(l.patch(l.Tenant, other, types.MergePatchType, `{"metadata":{"labels":{"labguard.dev/workload":"lis"}}}`), injection.LiveName, "never change")
	})
	l.attackLive(pod)
	l.useLive(pod)
	l.redeclare(profile, func(spec *v1alpha1.AirlockProfileSpec) { spec.Selector = nil })
	t.Run("the profile selects nothing any more", func(t *testing.T) { l.in(t).attackLive(pod); l.in(t).useLive(pod) })
	l.withdraw(profile)
	t.Run("the profile is deleted", func(t *testing.T) {
		l := l.in(t)
		l.attackLive(pod)
		l.useLive(pod)
		_, err := l.create(l.forged("thief", "lis", "lis", "lis-one"))
		l.refused(err, injection.ClaimsName, "")
	})
}

// sized gives the application a size, so that another can be asked for.
func sized(pod *corev1.Pod) {
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list("cpu", "10m", "memory", "16Mi")}
}
