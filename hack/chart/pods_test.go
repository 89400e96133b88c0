// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// typed decodes objects strictly, as `kubectl apply` would have the API server do.
func typed(t *testing.T, objects []*unstructured.Unstructured) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var found []runtime.Object
	for _, object := range objects {
		if !scheme.Recognizes(object.GroupVersionKind()) {
			if group := object.GroupVersionKind().Group; group != "monitoring.coreos.com" {
				t.Errorf("%s is of the group %s, which nobody checks here", object.GetKind(), group)
			}
			continue
		}
		content, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		one, _, err := decoder.Decode(content, nil, nil)
		if err != nil {
			t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
			continue
		}
		found = append(found, one)
	}
	return found
}

// podTemplates are the pods of all objects.
func podTemplates(t *testing.T, objects []*unstructured.Unstructured) []corev1.PodTemplateSpec {
	t.Helper()
	var found []corev1.PodTemplateSpec
	for _, object := range typed(t, objects) {
		switch one := object.(type) {
		case *appsv1.Deployment:
			found = append(found, one.Spec.Template)
		case *batchv1.Job:
			found = append(found, one.Spec.Template)
		case *corev1.Pod:
			found = append(found, corev1.PodTemplateSpec{ObjectMeta: one.ObjectMeta, Spec: one.Spec})
		}
	}
	return found
}

func TestEveryPodIsRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	for name, values := range map[string]map[string]any{"defaults": values(nil), "all values": allValues(t)} {
		objects, hooks := rendered(t, values)
		pods := podTemplates(t, slices.Concat(objects, hooks))
		if len(pods) != 3 {
			t.Errorf("%s: %d pods instead of that of the operator, of the test and of the uninstall", name, len(pods))
		}
		for i := range pods {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pods[i].ObjectMeta, &pods[i].Spec))
			if !result.Allowed {
				t.Errorf("%s: %s: %s", name, pods[i].Labels[nameLabel], result.ForbiddenDetail())
			}
		}
	}
	bad := corev1.PodSpec{Containers: []corev1.Container{{Name: "bad"}}}
	if policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &metav1.ObjectMeta{}, &bad)).Allowed {
		t.Error("the evaluator lets everything pass")
	}
}

// The webhooks answer from the pods of the operator, and drains count them.
func TestNoOtherPodIsTakenForTheOperator(t *testing.T) {
	objects, hooks := rendered(t, values(nil))
	service := named(t, objects, "Service", "labguard-webhook")
	selector, _, _ := unstructured.NestedStringMap(service.Object, "spec", "selector")
	for _, pod := range podTemplates(t, objects) {
		if !labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
			t.Errorf("the Service does not select %v", pod.Labels)
		}
	}
	for _, pod := range podTemplates(t, hooks) {
		if labels.SelectorFromSet(selector).Matches(labels.Set(pod.Labels)) {
			t.Errorf("the Service selects the hook %v", pod.Labels)
		}
	}
}

func TestADrainIsNeverHeldUp(t *testing.T) {
	for name, replicas := range map[string]int{"one replica": 1, "the default": 2} {
		objects, _ := rendered(t, values(map[string]any{"replicas": replicas}))
		found := false
		for _, object := range typed(t, objects) {
			budget, isBudget := object.(*policyv1.PodDisruptionBudget)
			if !isBudget {
				continue
			}
			found = true
			if budget.Spec.MinAvailable != nil || budget.Spec.MaxUnavailable.IntValue() != 1 {
				t.Errorf("%s: %v", name, budget.Spec)
			}
		}
		if !found {
			t.Errorf("%s: no PodDisruptionBudget", name)
		}
	}
}

func TestAnotherConfigurationNeedsOtherPods(t *testing.T) {
	checksum := func(values map[string]any) string {
		objects, _ := rendered(t, values)
		annotations, _, _ := unstructured.NestedStringMap(named(t, objects, "Deployment", "labguard").Object, "spec", "template", "metadata", "annotations")
		return annotations["checksum/configuration"]
	}
	before, same := checksum(values(nil)), checksum(values(map[string]any{"replicas": 3}))
	if after := checksum(values(map[string]any{"configuration.trustDomain": "other.example"})); before == "" || before != same || before == after {
		t.Errorf("%q, %q, %q", before, same, after)
	}
}

// What the chart says with all values is what the values say.
func TestEveryValueIsUsed(t *testing.T) {
	objects, hooks := rendered(t, allValues(t))
	var deployment *appsv1.Deployment
	for _, object := range typed(t, objects) {
		if one, isDeployment := object.(*appsv1.Deployment); isDeployment {
			deployment = one
		}
		if one, isDefinition := object.(*apiextensionsv1.CustomResourceDefinition); isDefinition {
			t.Errorf("crds.install is false, and %s is installed", one.Name)
		}
	}
	pod, container := deployment.Spec.Template, deployment.Spec.Template.Spec.Containers[0]
	for name, right := range map[string]bool{
		"image":          strings.HasPrefix(container.Image, "registry.lab.example:5000/platform/labguard@sha256:0123"),
		"pull policy":    container.ImagePullPolicy == corev1.PullIfNotPresent,
		"pull secret":    pod.Spec.ImagePullSecrets[0].Name == "registry",
		"replicas":       *deployment.Spec.Replicas == 3,
		"priority class": pod.Spec.PriorityClassName == "platform",
		"resources":      container.Resources.Limits.Memory().String() == "1Gi",
		"log level":      slices.Contains(container.Args, "--zap-log-level=debug"),
		"node selector":  pod.Spec.NodeSelector["kubernetes.io/os"] == "linux",
		"toleration":     len(pod.Spec.Tolerations) == 1,
		"affinity":       pod.Spec.Affinity != nil && pod.Spec.Affinity.NodeAffinity != nil,
		"annotation":     pod.Annotations["lab.example/owner"] == "platform",
		"label":          pod.Labels["lab.example/tier"] == "platform" && pod.Labels[nameLabel] == "labguard",
		"volume":         slices.ContainsFunc(pod.Spec.Volumes, func(volume corev1.Volume) bool { return volume.Name == "registries" }),
		"mount":          slices.ContainsFunc(container.VolumeMounts, func(mount corev1.VolumeMount) bool { return mount.Name == "registries" }),
	} {
		if !right {
			t.Errorf("%s is not what the values say", name)
		}
	}
	for _, hook := range podTemplates(t, hooks) {
		if hook.Spec.Containers[0].Image != container.Image || hook.Spec.NodeSelector["kubernetes.io/os"] != "linux" || len(hook.Spec.ImagePullSecrets) != 1 {
			t.Errorf("the hook %v runs elsewhere or as another image", hook.Labels)
		}
	}
	egress, _, _ := unstructured.NestedSlice(named(t, objects, "NetworkPolicy", "labguard").Object, "spec", "egress")
	if len(egress) != 1 || !strings.Contains(stringOf(t, egress), "10.0.0.0/8") {
		t.Errorf("egress is %v", egress)
	}
	named(t, objects, "PrometheusRule", "labguard")
}

// In a namespace whose pods may call nobody, the Job that an uninstall begins with would not reach the API server, and Helm would remove nothing.
func TestTheNetworkPolicyIsForTheHooksToo(t *testing.T) {
	objects, hooks := rendered(t, values(nil))
	policy := typed(t, []*unstructured.Unstructured{named(t, objects, "NetworkPolicy", "labguard")})[0].(*networkingv1.NetworkPolicy)
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	if err != nil {
		t.Fatal(err)
	}
	pods := append(podTemplates(t, objects), podTemplates(t, hooks)...)
	if len(pods) < 3 {
		t.Fatalf("%d pods, want the operator and two hooks", len(pods))
	}
	for _, pod := range pods {
		if !selector.Matches(labels.Set(pod.Labels)) {
			t.Errorf("the policy does not select %v", pod.Labels)
		}
	}
	if selector.Matches(labels.Set{"app.kubernetes.io/name": "other"}) {
		t.Error("the policy selects other pods too")
	}
}

func TestANetworkPolicyOfYourOwnTakesThePlaceOfTheChartsOwn(t *testing.T) {
	objects, _ := rendered(t, values(map[string]any{"networkPolicy.enabled": false}))
	for _, object := range objects {
		if object.GetKind() == "NetworkPolicy" {
			t.Errorf("networkPolicy.enabled is false, and there is %s", object.GetName())
		}
	}
}

func stringOf(t *testing.T, object any) string {
	t.Helper()
	content, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestNoToolRemovesDefinitions(t *testing.T) {
	objects, _ := rendered(t, values(nil))
	count := 0
	for _, object := range objects {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		count++
		for annotation, value := range map[string]string{
			"helm.sh/resource-policy": "keep", "argocd.argoproj.io/sync-options": "Prune=false,Delete=false", "kustomize.toolkit.fluxcd.io/prune": "disabled",
		} {
			if object.GetAnnotations()[annotation] != value {
				t.Errorf("%s goes without %s: %s, and with it everything of its kind", object.GetName(), annotation, value)
			}
		}
	}
	if count < 7 {
		t.Errorf("%d definitions", count)
	}
}

func TestTheGateIsTakenDownBeforeHelmRemovesAnything(t *testing.T) {
	_, hooks := rendered(t, values(nil))
	job := named(t, hooks, "Job", "labguard-uninstall")
	if job.GetAnnotations()["helm.sh/hook"] != "pre-delete" {
		t.Errorf("annotations are %v", job.GetAnnotations())
	}
	pod := podTemplates(t, []*unstructured.Unstructured{job})[0]
	if !slices.Contains(pod.Spec.Containers[0].Args, "--take-down") || pod.Spec.ServiceAccountName != "labguard" {
		t.Errorf("it runs %v as %s", pod.Spec.Containers[0].Args, pod.Spec.ServiceAccountName)
	}
}
