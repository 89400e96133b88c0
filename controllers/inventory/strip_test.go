// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/posture/template"
)

// dressed gives every object of the lab what decisions must not depend on, and what they need.
func dressed() []client.Object {
	objects := lab()
	for _, object := range objects {
		object.SetLabels(map[string]string{"app": "lis"})
		object.SetAnnotations(map[string]string{
			"labguard.dev/admitted": "lis:1", "prometheus.io/port": "9090", "kubectl.kubernetes.io/last-applied-configuration": "SECRET",
		})
		object.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "SECRET"}})
	}
	for _, object := range objects {
		dress(object)
	}
	return objects
}

func dress(object client.Object) {
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err) // objects of the API always encode
	}
	container := `"name":"app","env":[{"name":"PASSWORD","value":"SECRET"}],"command":["SECRET"],"ports":[{"name":"mllp","containerPort":2575}]`
	text := strings.ReplaceAll(string(raw), `"name":"app"`, container)
	spec := `"volumes":[{"name":"m","image":{"reference":"models:1"}},{"name":"s","secret":{"secretName":"SECRET"}}],"serviceAccountName":"robot",` +
		`"imagePullSecrets":[{"name":"pull"}],"nodeSelector":{"kubernetes.io/arch":"arm64"},"hostNetwork":true,"containers":`
	text = strings.ReplaceAll(text, `"containers":`, spec)
	if err := json.Unmarshal([]byte(text), object); err != nil {
		panic(err)
	}
}

func TestACacheHoldsWhatDecisionsNeedAndNothingElse(t *testing.T) {
	for _, object := range dressed() {
		before, known := template.FromObject(object)
		if !known {
			t.Fatalf("%T makes no pods", object)
		}
		t.Run(before.Kind+"/"+before.Name, func(t *testing.T) {
			if raw, err := json.Marshal(object); err != nil || !strings.Contains(string(raw), `"value":"SECRET"`) || !strings.Contains(string(raw), "models:1") {
				t.Fatalf("the test has dressed nothing: %s, %v", raw, err)
			}
			stripped, err := inventory.Strip(object.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(stripped)
			if err != nil || strings.Contains(string(raw), "SECRET") {
				t.Errorf("the cache holds %s, %v", raw, err)
			}
			if fmt.Sprintf("%T", stripped) != fmt.Sprintf("%T", object) {
				t.Errorf("%T has become %T", object, stripped)
			}
			asObject, _ := stripped.(runtime.Object)
			after, _ := template.FromObject(asObject)
			if diff := cmp.Diff(before.Template, after.Template); diff != "" {
				t.Errorf("template (-live +cached):\n%s", diff)
			}
			want := before.ObjectMeta.DeepCopy()
			want.ManagedFields = nil
			delete(want.Annotations, "kubectl.kubernetes.io/last-applied-configuration")
			if diff := cmp.Diff(*want, after.ObjectMeta); diff != "" {
				t.Errorf("metadata (-live +cached):\n%s", diff)
			}
			if !strings.Contains(string(raw), `"containerPort":2575`) || !strings.Contains(string(raw), `"hostNetwork":true`) {
				t.Errorf("ports or host network are missing: %s", raw)
			}
			again, err := inventory.Strip(stripped)
			if diff := cmp.Diff(stripped, again); err != nil || diff != "" {
				t.Errorf("stripped twice it differs: %v\n%s", err, diff)
			}
		})
	}
}

func TestACachedPodSaysWhatRunsAndWhere(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: meta("Pod", "lis-0"), Spec: corev1.PodSpec{NodeName: "node-1"}}
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, Message: "SECRET",
		InitContainerStatuses: []corev1.ContainerStatus{{Name: "i", Image: "i:1", ImageID: "i@sha256:1", ContainerID: "SECRET"}},
		ContainerStatuses:     []corev1.ContainerStatus{{Name: "a", Image: "a:1", ImageID: "a@sha256:1", ContainerID: "SECRET"}},
	}
	want := pod.DeepCopy()
	want.Status.Message, want.Status.InitContainerStatuses[0].ContainerID, want.Status.ContainerStatuses[0].ContainerID = "", "", ""
	got, err := inventory.Strip(pod)
	if err != nil {
		t.Fatal(err)
	}
	stripped, _ := got.(*corev1.Pod)
	if diff := cmp.Diff(want.Status, stripped.Status); diff != "" || stripped.Spec.NodeName != "node-1" {
		t.Errorf("on %s (-want +got):\n%s", stripped.Spec.NodeName, diff)
	}
}

func TestACachedNodeIsItsPlatform(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", ResourceVersion: "7", Labels: map[string]string{"a": "b"}},
		Spec:       corev1.NodeSpec{Unschedulable: true, PodCIDR: "10.1.0.0/24"},
		Status: corev1.NodeStatus{
			NodeInfo:  corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64", KernelVersion: "7"},
			Addresses: []corev1.NodeAddress{{Address: "10.0.0.1"}},
		},
	}
	want := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", ResourceVersion: "7"},
		Spec:       corev1.NodeSpec{Unschedulable: true},
		Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64"}},
	}
	got, err := inventory.StripNode(node)
	if diff := cmp.Diff(any(want), got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestManagedFieldsStayOnOurOwnChildren(t *testing.T) {
	for owner, want := range map[string]int{v1alpha1.ManagedByValue: 1, "helm": 0, "": 0} {
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{v1alpha1.ManagedByLabel: owner}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "labguard"}},
		}}
		if _, err := inventory.StripManagedFields(policy); err != nil || len(policy.ManagedFields) != want {
			t.Errorf("managed by %q: %d entries, %v", owner, len(policy.ManagedFields), err)
		}
	}
}

func TestATransformLeavesWhatItDoesNotKnow(t *testing.T) {
	for name, transform := range map[string]func(any) (any, error){
		"Strip": inventory.Strip, "StripNode": inventory.StripNode, "StripManagedFields": inventory.StripManagedFields,
	} {
		for _, object := range []any{&corev1.ConfigMap{Data: map[string]string{"a": "b"}}, "a tombstone", nil} {
			if got, err := transform(object); err != nil || !cmp.Equal(got, object) {
				t.Errorf("%s makes %v of %v, %v", name, got, object, err)
			}
		}
	}
}
