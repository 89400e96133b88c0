// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// An upgrade of airlock reaches new pods. Old ones stay as they are, and everybody goes on working with them.
func TestAnUpgradeOfAirlockLeavesOldPodsAlone(t *testing.T) {
	l := newLab(t)
	l.govern()
	profile := l.profile("lis")
	l.declare(profile)
	old, err := l.create(l.pod("lis-0", "lis", sized))
	l.Must(err)
	l.redeclare(profile, func(spec *v1alpha1.AirlockProfileSpec) {
		spec.Known = []v1alpha1.AirlockRevision{spec.Current}
		spec.Current = revision("lis", "two", newerImage)
		spec.Current.HostAliases = append(spec.Current.HostAliases, v1alpha1.AirlockHostAlias{IP: "127.0.64.2", Hostnames: []string{"archive"}})
	})
	fresh, err := l.create(l.pod("lis-1", "lis"))
	l.Must(err)
	if fresh.Labels[v1alpha1.AirlockLabel] != "lis-two" || fresh.Spec.InitContainers[0].Image != newerImage || len(fresh.Spec.HostAliases) != 2 {
		t.Errorf("the new pod: %v, %v", fresh.Labels, fresh.Spec.InitContainers)
	}
	if old.Labels[v1alpha1.WorkloadLabel] != fresh.Labels[v1alpha1.WorkloadLabel] {
		t.Errorf("a Service that selects the workload would lose a pod: %v, %v", old.Labels, fresh.Labels)
	}
	l.useLive(old)
	l.attackLive(old)
	// An API server whose cache lags behind may inject the revision before: the one that guards lets it in.
	l.redeclare(profile, func(spec *v1alpha1.AirlockProfileSpec) { spec.Known = nil })
	l.useLive(old)
	l.Passes(l.client(l.Tenant).Delete(t.Context(), old))
}

// The controllers of Kubernetes make pods, count them and take their own finalizers off again.
func TestAJobWithTheSidecarCompletes(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("night"))
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "night"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "night"}},
			Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "app", Image: appImage}}},
		}},
	}
	l.Must(l.write(l.Tenant, job))
	pod := l.firstPod("night")
	if len(pod.Spec.InitContainers) != 1 || len(pod.Finalizers) != 1 {
		t.Errorf("the pod: %v, finalizers %v", pod.Spec.InitContainers, pod.Finalizers)
	}
	l.Must(l.patch("", pod, types.MergePatchType, `{"status":{"phase":"Succeeded"}}`, "status"))
	l.Eventually("the Job is complete and its pod free", func(ctx ctx) (bool, error) {
		if err := l.client("").Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return false, err
		}
		err := l.client("").Get(ctx, client.ObjectKeyFromObject(pod), pod)
		complete := slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
			return c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue
		})
		return complete && len(pod.Finalizers) == 0, err
	})
}

func (l lab) firstPod(app string) *corev1.Pod {
	l.Helper()
	var pods corev1.PodList
	l.Eventually("there is a pod", func(ctx ctx) (bool, error) {
		err := l.client("").List(ctx, &pods, client.InNamespace(l.Namespace), client.MatchingLabels{"app": app})
		return len(pods.Items) > 0, err
	})
	return &pods.Items[0]
}

func TestADeploymentRollsOutWithTheSidecar(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis"))
	labels := map[string]string{"app": "lis"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "lis"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: appImage}}},
		}},
	}
	l.Must(l.write(l.Tenant, deployment))
	if pod := l.firstPod("lis"); pod.Labels[v1alpha1.WorkloadLabel] != "lis" {
		t.Errorf("labels of the pod: %v", pod.Labels)
	}
	l.Must(l.client(l.Tenant).Get(t.Context(), client.ObjectKeyFromObject(deployment), deployment))
	if spec := deployment.Spec.Template; len(spec.Spec.InitContainers) > 0 || len(spec.Labels) != 1 {
		t.Errorf("the template that Git declares has changed: %v", spec)
	}
	l.Must(l.client(l.Tenant).Delete(t.Context(), deployment, client.PropagationPolicy(metav1.DeletePropagationForeground)))
	l.Eventually("the Deployment is gone with its pods", func(ctx ctx) (bool, error) {
		err := l.client("").Get(ctx, client.ObjectKeyFromObject(deployment), deployment)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

func TestTheGarbageCollectorTakesWhatAProfileOwned(t *testing.T) {
	l := newLab(t)
	l.govern()
	profile := l.profile("lis")
	l.declare(profile)
	yes := true
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: l.Namespace, Name: "labguard-lis", OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "AirlockProfile", Name: profile.Name, UID: profile.UID, Controller: &yes,
		}},
	}}
	l.Must(l.write(tenancy.Labguard, owned))
	l.withdraw(profile)
	l.Eventually("what it owned is gone", func(ctx ctx) (bool, error) {
		err := l.client("").Get(ctx, client.ObjectKeyFromObject(owned), owned)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

func TestAGovernedNamespaceCanBeDeleted(t *testing.T) {
	l := newLab(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	l.Must(l.write("", namespace))
	l.Namespace = namespace.Name
	l.Bind("edit", l.Tenant)
	l.Eventually("there is a service account", func(ctx ctx) (bool, error) {
		err := l.client("").Get(ctx, client.ObjectKey{Namespace: l.Namespace, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
	l.govern()
	l.declare(l.profile("lis"))
	_, err := l.create(l.pod("lis-0", "lis"))
	l.Must(err)
	for _, object := range l.ours() {
		l.Must(l.write(tenancy.Labguard, object))
	}
	l.Must(l.client("").Delete(t.Context(), namespace))
	l.Eventually("the namespace is gone", func(ctx ctx) (bool, error) {
		err := l.client("").Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

// labguard may patch pods, and with that run any image, if nothing held it back.
func TestLabguardChangesNothingOfPodsButItsOwnMarks(t *testing.T) {
	l := newLab(t)
	l.govern()
	pod, err := l.create(l.pod("app", "other", func(pod *corev1.Pod) {
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.SchedulingGate}, {Name: "example.com/other"}}
		pod.Annotations = map[string]string{"note": "of the tenant"}
		sized(pod)
	}))
	l.Must(err)
	merge, json, strategic := types.MergePatchType, types.JSONPatchType, types.StrategicMergePatchType
	for name, attack := range map[string]struct {
		kind        patchKind
		body        string
		subresource []string
	}{
		"an image":           {strategic, `{"spec":{"containers":[{"name":"app","image":"evil"}]}}`, nil},
		"a label":            {merge, `{"metadata":{"labels":{"app":"lis"}}}`, nil},
		"a label of its own": {merge, `{"metadata":{"labels":{"labguard.dev/labworkload":"lis"}}}`, nil},
		"an annotation":      {merge, `{"metadata":{"annotations":{"note":"changed"}}}`, nil},
		"an annotation off":  {merge, `{"metadata":{"annotations":{"note":null}}}`, nil},
		"a finalizer":        {merge, `{"metadata":{"finalizers":["labguard.dev/wait"]}}`, nil},
		"the gate of others": {json, `[{"op":"remove","path":"/spec/schedulingGates/1"}]`, nil},
		"a deadline":         {merge, `{"spec":{"activeDeadlineSeconds":5}}`, nil},
		"a debug container":  {strategic, `{"spec":{"ephemeralContainers":[{"name":"d","image":"evil"}]}}`, []string{"ephemeralcontainers"}},
		"a size":             {strategic, `{"spec":{"containers":[{"name":"app","resources":{"requests":{"cpu":"20m"}}}]}}`, []string{"resize"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			l.refused(l.patch(tenancy.Labguard, pod, attack.kind, attack.body, attack.subresource...), injection.SelfName, "labguard changes")
		})
	}
	l.Passes(l.patch(tenancy.Labguard, pod, json, `[{"op":"remove","path":"/spec/schedulingGates/0"}]`))
	l.Passes(l.patch(tenancy.Labguard, pod, merge, `{"metadata":{"annotations":{"labguard.dev/sync":"1","labguard.dev/hold":"x"}}}`))
	l.Passes(l.patch(tenancy.Labguard, pod, merge, `{"metadata":{"annotations":{"labguard.dev/sync":null}}}`))
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "theirs"}}
	l.Must(l.write(l.Tenant, theirs))
	l.refused(l.client(tenancy.Labguard).Delete(t.Context(), theirs), injection.SelfName, "no Secret but its own")
	l.Passes(l.client(tenancy.Labguard).Delete(t.Context(), pod))
}

// A rule that the API server finds fault with is not one to rely on.
func TestTheAPIServerFindsNoFaultWithTheExpressions(t *testing.T) {
	l := newLab(t)
	l.govern()
	for _, guard := range injection.Guards(l.config()) {
		policy, err := l.typed("").AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(t.Context(), *guard.Policy.Name+"."+l.Namespace, metav1.GetOptions{})
		l.Must(err)
		l.Eventually("the policy is looked at", func(ctx ctx) (bool, error) {
			policy, err = l.typed("").AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(ctx, policy.Name, metav1.GetOptions{})
			return err == nil && policy.Status.ObservedGeneration == policy.Generation, err
		})
		if policy.Status.TypeChecking == nil {
			continue
		}
		for _, warning := range policy.Status.TypeChecking.ExpressionWarnings {
			t.Errorf("%s: %s: %s", policy.Name, warning.FieldRef, warning.Warning)
		}
	}
}
