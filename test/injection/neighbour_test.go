// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// hardened is what the level restricted wants of an application.
func hardened(pod *corev1.Pod) {
	yes, no := true, false
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func TestPodSecurityRestrictedAdmitsTheSidecar(t *testing.T) {
	l := newLab(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.Namespace}}
	l.Must(l.client("").Patch(t.Context(), namespace, client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`))))
	l.inject(l.config())
	l.Must(l.write(tenancy.Labguard, l.profile("lis")))
	l.Eventually("hardened pods are injected", func(ctx ctx) (bool, error) {
		pod, err := l.dryRun(ctx, l.pod("lis-0", "lis", hardened))
		return err == nil && len(pod.Spec.InitContainers) == 1, err
	})
	_, err := l.dryRun(t.Context(), l.pod("lis-0", "other"))
	if err == nil {
		t.Error("the level is not in force")
	}
}

func TestQuotasAndLimitsHoldWithTheSidecar(t *testing.T) {
	l := newLab(t)
	l.govern()
	meta := metav1.ObjectMeta{Namespace: l.Namespace, Name: "lab"}
	l.Must(l.write("", &corev1.LimitRange{ObjectMeta: meta, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
		Type: corev1.LimitTypeContainer, Default: list("cpu", "500m", "memory", "256Mi"), Max: list("cpu", "1", "memory", "1Gi"),
	}}}}))
	l.Must(l.write("", &corev1.ResourceQuota{ObjectMeta: meta, Spec: corev1.ResourceQuotaSpec{
		Hard: list("limits.cpu", "4", "limits.memory", "4Gi", "requests.cpu", "4", "requests.memory", "4Gi"),
	}}))
	l.Must(l.write(tenancy.Labguard, l.profile("lis")))
	var pod *corev1.Pod
	l.Eventually("pods are injected", func(ctx ctx) (bool, error) {
		var err error
		pod, err = l.dryRun(ctx, l.pod("lis-0", "lis"))
		// The quota is usable once its controller has counted, and limits apply once they are known.
		return err == nil && len(pod.Spec.InitContainers) == 1 && len(pod.Spec.Containers[0].Resources.Limits) > 0, nil
	})
	want := corev1.ResourceRequirements{Requests: list("cpu", "10m", "memory", "64Mi"), Limits: list("cpu", "500m", "memory", "64Mi")}
	if diff := cmp.Diff(want, pod.Spec.InitContainers[0].Resources, quantities); diff != "" {
		t.Errorf("resources of the sidecar (-want +got):\n%s", diff)
	}
	if _, err := l.create(l.pod("lis-0", "lis")); err != nil {
		t.Errorf("refused: %v", err)
	}
}

// prepending is a policy that does what a mesh does: a container before all others, and one beside the application.
func (l lab) prepending(name string) {
	l.Helper()
	const patch = `(has(object.spec.initContainers) ? [] : [JSONPatch{op: "add", path: "/spec/initContainers", value: []}])
+ (object.spec.?initContainers.orValue([]).exists(c, c.name == 'NAME') ? [] : [
  JSONPatch{op: "add", path: "/spec/initContainers/0", value: Object.spec.initContainers{name: "NAME", image: "registry.example/mesh"}},
  JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "proxy-NAME", image: "registry.example/mesh"}}])`
	fail, reinvoke := registrationv1.Fail, registrationv1.IfNeededReinvocationPolicy
	meta := metav1.ObjectMeta{Name: name + "." + l.Namespace}
	replaced := replace(patch, name)
	policy := &registrationv1.MutatingAdmissionPolicy{ObjectMeta: meta, Spec: registrationv1.MutatingAdmissionPolicySpec{
		FailurePolicy: &fail, ReinvocationPolicy: reinvoke,
		MatchConstraints: &registrationv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: l.Namespace}},
			ResourceRules: []registrationv1.NamedRuleWithOperations{{RuleWithOperations: registrationv1.RuleWithOperations{
				Operations: []registrationv1.OperationType{registrationv1.Create},
				Rule:       registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}}},
		},
		Mutations: []registrationv1.Mutation{{PatchType: registrationv1.PatchTypeJSONPatch, JSONPatch: &registrationv1.JSONPatch{Expression: replaced}}},
	}}
	binding := &registrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: meta, Spec: registrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: meta.Name}}
	for _, object := range []client.Object{policy, binding} {
		l.Must(l.write("", object))
		l.Afterwards(func(ctx ctx) error { return l.client("").Delete(ctx, object) })
	}
}

// meshWebhook prepends as a webhook.
func (l lab) meshWebhook() {
	l.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(request.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, PatchType: &kind, Patch: []byte(
			`[{"op":"add","path":"/spec/initContainers/0","value":{"name":"mesh-init","image":"registry.example/mesh"}},` +
				`{"op":"add","path":"/spec/volumes/-","value":{"name":"mesh","emptyDir":{}}}]`)}
		review.Request = nil
		if err := json.NewEncoder(w).Encode(review); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	l.Cleanup(server.Close)
	none, fail := registrationv1.SideEffectClassNone, registrationv1.Fail
	webhook := &registrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "mesh." + l.Namespace},
		Webhooks: []registrationv1.MutatingWebhook{{
			Name: "mesh.example.com", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: registrationv1.WebhookClientConfig{
				URL: &server.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: l.Namespace}},
			Rules: []registrationv1.RuleWithOperations{{
				Operations: []registrationv1.OperationType{registrationv1.Create},
				Rule:       registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		}},
	}
	l.Must(l.write("", webhook))
	l.Afterwards(func(ctx ctx) error { return l.client("").Delete(ctx, webhook) })
}

func TestTheSidecarIsTheFirstWhateverElseChangesThePod(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis"))
	l.prepending("before")
	l.prepending("zz-after")
	l.meshWebhook()
	var pod *corev1.Pod
	l.Eventually("all of them act", func(ctx ctx) (bool, error) {
		var err error
		pod, err = l.dryRun(ctx, l.pod("lis-0", "lis"))
		return err == nil && len(pod.Spec.InitContainers) == 4, nil
	})
	if diff := cmp.Diff(sidecar(), pod.Spec.InitContainers[0], quantities); diff != "" {
		t.Errorf("the first init container (-want +got):\n%s", diff)
	}
	if len(pod.Spec.HostAliases) != 1 {
		t.Errorf("host aliases: %v", pod.Spec.HostAliases)
	}
	_, err := l.create(l.pod("lis-0", "lis"))
	l.Passes(err)
}

// A copy of a pod comes with its sidecar and needs none. What a webhook puts before it is not put right then, since the API server asks only those policies again that have changed the pod.
func TestACopyOfAPodIsRefusedWhereSomethingIsPutBeforeItsSidecar(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis"))
	_, err := l.dryRun(t.Context(), l.equipped("lis-0"))
	l.Passes(err)
	l.meshWebhook()
	l.Eventually("the webhook acts", func(ctx ctx) (bool, error) {
		pod, err := l.dryRun(ctx, l.pod("lis-1", "lis"))
		return err == nil && len(pod.Spec.InitContainers) == 2, nil
	})
	_, err = l.dryRun(t.Context(), l.equipped("lis-0"))
	l.refusedByGuards(err)
}

func TestRedirectIsTheSecondInitContainer(t *testing.T) {
	l := newLab(t)
	l.govern()
	profile := l.profile("engine", func(spec *v1alpha1.AirlockProfileSpec) {
		spec.Current.Redirect = []string{"10.96.77.7:2575", "[fd00::7]:2575"}
	})
	l.declare(profile)
	pod, err := l.create(l.pod("engine-0", "engine", func(pod *corev1.Pod) {
		pod.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: appImage}, {Name: config.RedirectContainerName, Image: "evil"}}
	}))
	l.Must(err)
	if len(pod.Spec.InitContainers) != 3 {
		t.Fatalf("init containers: %v", pod.Spec.InitContainers)
	}
	redirect := pod.Spec.InitContainers[1]
	if diff := cmp.Diff([]string{"redirect", "10.96.77.7:2575", "[fd00::7]:2575"}, redirect.Args); diff != "" || redirect.Name != config.RedirectContainerName || redirect.Image != airlockImage {
		t.Errorf("the second init container: %v\n%s", redirect, diff)
	}
	if got := redirect.SecurityContext.Capabilities; len(got.Add) != 1 || got.Add[0] != "NET_ADMIN" || got.Drop[0] != "ALL" || redirect.RestartPolicy != nil {
		t.Errorf("the second init container: %v", redirect)
	}
	l.attackLive(pod)
}

func TestWithoutClusterTrustBundlesTheTrustIsInAConfigMap(t *testing.T) {
	l := newLab(t)
	without := l.config()
	without.ClusterTrustBundles = false
	l.governWith(without)
	l.declare(l.profile("lis"))
	pod, err := l.create(l.pod("lis-0", "lis"))
	l.Must(err)
	yes := true
	for _, volume := range pod.Spec.Volumes {
		if volume.Name != config.VolumeName {
			continue
		}
		want := corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "labguard-trust"}, Optional: &yes,
			Items: []corev1.KeyToPath{
				{Key: "labguard-trust-lab.example", Path: "trust/lab.example.pem"}, {Key: "labguard-authority-vendor", Path: "authorities/vendor.pem"},
			},
		}}
		if diff := cmp.Diff(want, volume.Projected.Sources[2]); diff != "" || len(volume.Projected.Sources) != 3 {
			t.Errorf("the trust (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("there is no volume")
}

func TestAProfileMaySelectByExpressions(t *testing.T) {
	l := newLab(t)
	l.govern()
	l.declare(l.profile("lis", func(spec *v1alpha1.AirlockProfileSpec) {
		spec.Current.Bundles, spec.Current.HostAliases = nil, nil
		spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"lis", "lis-archive"}},
			{Key: "app", Operator: metav1.LabelSelectorOpExists},
			{Key: "stage", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"test"}},
			{Key: "legacy", Operator: metav1.LabelSelectorOpDoesNotExist},
		}}
	}))
	for name, test := range map[string]struct {
		labels map[string]string
		want   int
	}{
		"In":                   {map[string]string{"app": "lis-archive"}, 1},
		"In, and NotIn":        {map[string]string{"app": "lis", "stage": "production"}, 1},
		"not In":               {map[string]string{"app": "other"}, 0},
		"not NotIn":            {map[string]string{"app": "lis", "stage": "test"}, 0},
		"not DoesNotExist":     {map[string]string{"app": "lis", "legacy": ""}, 0},
		"without labels":       {nil, 0},
		"with an empty string": {map[string]string{"app": ""}, 0},
	} {
		pod, err := l.dryRun(t.Context(), l.pod("lis-0", "", func(pod *corev1.Pod) { pod.Labels = test.labels }))
		if err != nil || len(pod.Spec.InitContainers) != test.want {
			t.Errorf("%s: %d init containers, %v", name, len(pod.Spec.InitContainers), err)
		}
	}
}
