// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/posture/template"
)

const namespace = "pathology"

type served bool

func (s served) Serves(schema.GroupKind) bool { return bool(s) }

func meta(kind, name string, owner ...metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(kind + "/" + name), OwnerReferences: owner}
}

func controlledBy(kind, name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: kind, Name: name, UID: types.UID(kind + "/" + name), Controller: new(true)}
}

func pods(reference string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: reference}}}}
}

// lab is a namespace with an owned and a free object of most kinds.
func lab() []client.Object {
	rc := pods("rc:1")
	cronJob := &batchv1.CronJob{ObjectMeta: meta("CronJob", "nightly")}
	cronJob.Spec.JobTemplate.Spec.Template = pods("backup:2")
	return []client.Object{
		&appsv1.Deployment{ObjectMeta: meta("Deployment", "lis"), Spec: appsv1.DeploymentSpec{Replicas: new(int32(3)), Template: pods("lis:2")}},
		&appsv1.ReplicaSet{ObjectMeta: meta("ReplicaSet", "lis-1", controlledBy("Deployment", "lis")), Spec: appsv1.ReplicaSetSpec{Template: pods("lis:1")}},
		&appsv1.ReplicaSet{ObjectMeta: meta("ReplicaSet", "lis-2", controlledBy("Deployment", "lis")), Spec: appsv1.ReplicaSetSpec{Template: pods("lis:2")}},
		&appsv1.ReplicaSet{ObjectMeta: meta("ReplicaSet", "bare"), Spec: appsv1.ReplicaSetSpec{Template: pods("bare:1")}},
		&appsv1.StatefulSet{ObjectMeta: meta("StatefulSet", "db"), Spec: appsv1.StatefulSetSpec{Template: pods("db:1")}},
		&appsv1.DaemonSet{ObjectMeta: meta("DaemonSet", "agent"), Spec: appsv1.DaemonSetSpec{Template: pods("agent:1")}},
		&corev1.ReplicationController{ObjectMeta: meta("ReplicationController", "old"), Spec: corev1.ReplicationControllerSpec{Template: &rc}},
		cronJob,
		&batchv1.Job{ObjectMeta: meta("Job", "nightly-1", controlledBy("CronJob", "nightly")), Spec: batchv1.JobSpec{Template: pods("backup:1")}},
		&batchv1.Job{ObjectMeta: meta("Job", "once"), Spec: batchv1.JobSpec{Template: pods("once:1")}},
		&corev1.Pod{ObjectMeta: meta("Pod", "lis-2-x", controlledBy("ReplicaSet", "lis-2")), Spec: pods("lis:2").Spec},
		&corev1.Pod{ObjectMeta: meta("Pod", "db-0", controlledBy("StrimziPodSet", "db")), Spec: pods("db:9").Spec},
		&corev1.Pod{ObjectMeta: meta("Pod", "debug"), Spec: pods("debug:1").Spec},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "radiology", Name: "pacs"}, Spec: appsv1.DeploymentSpec{Template: pods("pacs:1")}},
	}
}

func names(roots []template.Root) []string {
	var all []string
	for i := range roots {
		all = append(all, roots[i].Kind+"/"+roots[i].Name)
	}
	slices.Sort(all)
	return all
}

func list(t *testing.T, served inventory.Served, objects ...client.Object) *inventory.Namespace {
	t.Helper()
	reader := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).Build()
	found, err := inventory.List(t.Context(), reader, served, namespace)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestANamespaceIsItsRootsItsOwnedTemplatesAndItsPods(t *testing.T) {
	found := list(t, served(false), lab()...)
	wantRoots := []string{
		"CronJob/nightly", "DaemonSet/agent", "Deployment/lis", "Job/once", "Pod/debug", "ReplicaSet/bare", "ReplicationController/old", "StatefulSet/db",
	}
	if diff := cmp.Diff(wantRoots, names(found.Roots)); diff != "" {
		t.Errorf("roots (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"Job/nightly-1", "ReplicaSet/lis-1", "ReplicaSet/lis-2"}, names(found.Owned)); diff != "" {
		t.Errorf("owned (-want +got):\n%s", diff)
	}
	for i := range found.Roots {
		root := &found.Roots[i]
		if want := map[string]int32{"Deployment/lis": 3}[root.Kind+"/"+root.Name]; found.Replicas(root) != want {
			t.Errorf("%s/%s has %d replicas, want %d", root.Kind, root.Name, found.Replicas(root), want)
		}
	}
	if len(found.Pods) != 3 {
		t.Errorf("%d pods", len(found.Pods))
	}
	used := map[types.UID][]string{"Deployment/lis": {"lis:1", "lis:2"}, "CronJob/nightly": {"backup:1"}}
	if diff := cmp.Diff(used, found.InUse()); diff != "" {
		t.Errorf("in use (-want +got):\n%s", diff)
	}
}

func rollout(name string, spec map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": namespace, "name": name, "uid": "Rollout/" + name}, "spec": spec,
	}}
	object.SetGroupVersionKind(inventory.ArgoRollout)
	return object
}

func TestRolloutsOfArgoAreRootsWhereTheyAreServed(t *testing.T) {
	kinds := runtime.NewScheme()
	if err := scheme.AddToScheme(kinds); err != nil {
		t.Fatal(err)
	}
	kinds.AddKnownTypeWithName(inventory.ArgoRollout, &unstructured.Unstructured{})
	kinds.AddKnownTypeWithName(inventory.ArgoRollout.GroupVersion().WithKind("RolloutList"), &unstructured.UnstructuredList{})
	containers := []any{map[string]any{"name": "app", "image": "lis:3"}}
	objects := []client.Object{
		rollout("lis", map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}}),
		rollout("broken", map[string]any{"template": map[string]any{"spec": map[string]any{"containers": "x"}}}),
		&appsv1.ReplicaSet{ObjectMeta: meta("ReplicaSet", "lis-1", controlledBy("Rollout", "lis")), Spec: appsv1.ReplicaSetSpec{Template: pods("lis:2")}},
	}
	reader := fake.NewClientBuilder().WithScheme(kinds).WithObjects(objects...).Build()
	found, err := inventory.List(t.Context(), reader, served(true), namespace)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Rollout/lis"}, names(found.Roots)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"lis:3"}, found.Roots[0].Template.References()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[types.UID][]string{"Rollout/lis": {"lis:2"}}, found.InUse()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	found, err = inventory.List(t.Context(), reader, served(false), namespace)
	if err != nil || len(found.Roots) != 0 {
		t.Errorf("not served, and found %v, %v", names(found.Roots), err)
	}
}

func TestAListThatFailsIsNamed(t *testing.T) {
	for _, kind := range []string{"*v1.DeploymentList", "*v1.PodList", "Argo Rollouts"} {
		reader := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme.Scheme).Build(), interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
				_, isRollout := list.(*unstructured.UnstructuredList)
				if isRollout || kind != "Argo Rollouts" && strings.HasSuffix(kind, strings.TrimPrefix(typeName(list), "*v1")) {
					return errors.New("no cache")
				}
				return c.List(ctx, list, options...)
			},
		})
		if _, err := inventory.List(t.Context(), reader, served(true), namespace); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(kind, "*v1.")) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func typeName(list client.ObjectList) string {
	switch list.(type) {
	case *appsv1.DeploymentList:
		return "*v1.DeploymentList"
	case *corev1.PodList:
		return "*v1.PodList"
	default:
		return "other"
	}
}

func TestOwnersAreFollowedUpToTheRoot(t *testing.T) {
	tests := map[string]struct {
		object     template.Root
		owner, top string
	}{
		"of a pod of a Deployment":                    {template.Root{ObjectMeta: meta("Pod", "x", controlledBy("ReplicaSet", "lis-2"))}, "ReplicaSet/lis-2", "Deployment/lis"},
		"of a ReplicaSet":                             {template.Root{ObjectMeta: meta("ReplicaSet", "x", controlledBy("Deployment", "lis"))}, "Deployment/lis", "Deployment/lis"},
		"of a pod of a CronJob's Job":                 {template.Root{ObjectMeta: meta("Pod", "x", controlledBy("Job", "nightly-1"))}, "Job/nightly-1", "CronJob/nightly"},
		"of a pod without controller":                 {template.Root{ObjectMeta: meta("Pod", "x")}, "", ""},
		"of a pod of a kind that nobody knows":        {template.Root{ObjectMeta: meta("Pod", "x", controlledBy("StrimziPodSet", "db"))}, "", ""},
		"of a pod whose owner is gone":                {template.Root{ObjectMeta: meta("Pod", "x", controlledBy("ReplicaSet", "gone"))}, "", ""},
		"of a pod that names the UID of another kind": {template.Root{ObjectMeta: meta("Pod", "x", metav1.OwnerReference{Kind: "Job", UID: "ReplicaSet/lis-2", Controller: new(true)})}, "", ""},
	}
	found := list(t, served(false), lab()...)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			owner, top := found.OwnerOf(&test.object)
			for want, got := range map[string]*template.Root{"owner " + test.owner: owner, "top " + test.top: top} {
				role, want, _ := strings.Cut(want, " ")
				if got == nil && want != "" || got != nil && got.Kind+"/"+got.Name != want {
					t.Errorf("%s is %+v, want %q", role, got, want)
				}
			}
		})
	}
}

// Anybody may write owner references, in a circle too.
func TestOwnersInACircleLeadNowhere(t *testing.T) {
	circle := func(names ...string) []client.Object {
		var objects []client.Object
		for i, name := range names {
			objects = append(objects, &appsv1.ReplicaSet{
				ObjectMeta: meta("ReplicaSet", name, controlledBy("ReplicaSet", names[(i+1)%len(names)])), Spec: appsv1.ReplicaSetSpec{Template: pods("x:1")},
			})
		}
		return objects
	}
	for _, objects := range [][]client.Object{circle("a"), circle("a", "b"), circle("a", "b", "c")} {
		found := list(t, served(false), objects...)
		pod := template.Root{ObjectMeta: meta("Pod", "x", controlledBy("ReplicaSet", "a"))}
		if owner, top := found.OwnerOf(&pod); owner == nil || owner.Name != "a" || top != nil {
			t.Errorf("owner %v, top %v", owner, top)
		}
		if used := found.InUse(); len(used) > 0 {
			t.Errorf("in use %v", used)
		}
	}
}

func TestRevisionsAreReadOffControllerRevisions(t *testing.T) {
	revision := func(name, data string, owner ...metav1.OwnerReference) *appsv1.ControllerRevision {
		return &appsv1.ControllerRevision{ObjectMeta: meta("ControllerRevision", name, owner...), Data: runtime.RawExtension{Raw: []byte(data)}}
	}
	patch := func(image string) string {
		encoded, err := json.Marshal(map[string]any{"spec": map[string]any{"template": pods(image)}})
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	reader := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(
		revision("db-1", patch("db:1"), controlledBy("StatefulSet", "db")), revision("db-2", patch("db:2"), controlledBy("StatefulSet", "db")),
		revision("agent-1", patch("agent:1"), controlledBy("DaemonSet", "agent")),
		revision("orphan", patch("orphan:1")), revision("other", `["no template"]`, controlledBy("Something", "x")), revision("empty", `null`, controlledBy("StatefulSet", "y")),
	).Build()
	got, err := inventory.Revisions(t.Context(), reader, namespace)
	if err != nil {
		t.Fatal(err)
	}
	delete(got, "StatefulSet/y")
	want := map[types.UID][]string{"StatefulSet/db": {"db:1", "db:2"}, "DaemonSet/agent": {"agent:1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	broken := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New("forbidden")
		},
	})
	if _, err := inventory.Revisions(t.Context(), broken, namespace); err == nil || !strings.Contains(err.Error(), "controller revisions of namespace pathology") {
		t.Errorf("got %v", err)
	}
}

func TestTheListedNamespacesOfAConfiguration(t *testing.T) {
	webhook := func(expressions ...metav1.LabelSelectorRequirement) admissionregistrationv1.ValidatingWebhook {
		return admissionregistrationv1.ValidatingWebhook{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: expressions}}
	}
	recovery := metav1.LabelSelectorRequirement{Key: "labguard.dev/recovery-until", Operator: metav1.LabelSelectorOpDoesNotExist}
	named := metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{"a", "b"}}
	excluded := metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"c"}}
	tests := map[string]struct {
		webhooks []admissionregistrationv1.ValidatingWebhook
		want     []string
	}{
		"without webhooks":                     {nil, nil},
		"without a selector":                   {[]admissionregistrationv1.ValidatingWebhook{{}}, nil},
		"by name, beside other requirements":   {[]admissionregistrationv1.ValidatingWebhook{webhook(recovery, named)}, []string{"a", "b"}},
		"not by the names that are left out":   {[]admissionregistrationv1.ValidatingWebhook{webhook(excluded)}, nil},
		"by the first webhook that names some": {[]admissionregistrationv1.ValidatingWebhook{{}, webhook(recovery), webhook(named)}, []string{"a", "b"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := inventory.ListedNamespaces(&admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: test.webhooks})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	people := &admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: []admissionregistrationv1.ValidatingWebhook{webhook(named)}}
	people.Name = "labguard-access-2"
	if got := inventory.ListedNamespaces(people); got != nil {
		t.Errorf("a configuration about people asks about the rollouts of %v", got)
	}
}

func TestAirlockIsLeftOutOfPodsAndOfNothingElse(t *testing.T) {
	sidecar := corev1.Container{Name: "airlock", Image: "airlock:2"}
	bare := &corev1.Pod{ObjectMeta: meta("Pod", "bare"), Spec: pods("lis:1").Spec}
	owned := &corev1.Pod{ObjectMeta: meta("Pod", "owned", controlledBy("ReplicaSet", "lis")), Spec: pods("lis:1").Spec}
	deployment := &appsv1.Deployment{ObjectMeta: meta("Deployment", "lis"), Spec: appsv1.DeploymentSpec{Template: pods("lis:1")}}
	for _, spec := range []*corev1.PodSpec{&bare.Spec, &owned.Spec, &deployment.Spec.Template.Spec} {
		spec.InitContainers = []corev1.Container{sidecar}
	}
	for image, want := range map[string]map[string][]string{
		"airlock:2": {"Pod/bare": {"lis:1"}, "Deployment/lis": {"airlock:2", "lis:1"}, "owned": {"lis:1"}},
		"airlock:3": {"Pod/bare": {"airlock:2", "lis:1"}, "Deployment/lis": {"airlock:2", "lis:1"}, "owned": {"airlock:2", "lis:1"}},
	} {
		reader := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(bare, owned, deployment).Build()
		found, err := inventory.List(t.Context(), reader, served(false), namespace)
		if err != nil {
			t.Fatal(err)
		}
		found.LeaveOutAirlock(image)
		got := map[string][]string{}
		for i := range found.Roots {
			got[found.Roots[i].Kind+"/"+found.Roots[i].Name] = found.Roots[i].Template.References()
		}
		self := found.Pod(owned)
		got["owned"] = self.Template.References()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with image %s (-want +got):\n%s", image, diff)
		}
	}
}
