// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/template"
)

func podSpec() corev1.PodSpec {
	always := corev1.ContainerRestartPolicyAlways
	return corev1.PodSpec{
		ServiceAccountName: "robot",
		NodeSelector:       map[string]string{corev1.LabelArchStable: "arm64"},
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: "first"}, {Name: "second"}},
		InitContainers: []corev1.Container{
			{Name: "migrate", Image: "lab/migrate:1"}, {Name: "sidecar", Image: "lab/proxy:1", RestartPolicy: &always},
		},
		Containers: []corev1.Container{
			{Name: "app", Image: "lab/lis:2", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "secret"}}},
			{Name: "second", Image: "lab/lis:2"}, {Name: "injected"},
		},
		EphemeralContainers: []corev1.EphemeralContainer{
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}},
		},
		Volumes: []corev1.Volume{
			{Name: "models", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "lab/models:7"}}},
			{Name: "empty", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		},
	}
}

func podTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "lis"}, Name: "ignored"}, Spec: podSpec()}
}

func meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "pathology", Name: "lis", UID: "u-1", Annotations: map[string]string{"labguard.dev/admitted": "lab/lis:1"},
		Labels: map[string]string{"on": "the object"},
		OwnerReferences: []metav1.OwnerReference{
			{Kind: "ConfigMap", Name: "other", UID: "u-2"}, {Kind: "CronJob", Name: "nightly", UID: "u-3", Controller: new(true)},
		},
	}
}

// objects are all kinds that make pods, and the pod.
func objects() map[string]runtime.Object {
	pods := podTemplate()
	jobPods := podTemplate()
	for _, key := range []string{batchv1.JobNameLabel, "job-name"} {
		jobPods.Labels[key] = "lis"
	}
	for _, key := range []string{batchv1.ControllerUidLabel, "controller-uid"} {
		jobPods.Labels[key] = "u-1"
	}
	pod := &corev1.Pod{ObjectMeta: meta(), Spec: podSpec()}
	pod.Labels = map[string]string{"app": "lis"}
	return map[string]runtime.Object{
		"Deployment":            &appsv1.Deployment{ObjectMeta: meta(), Spec: appsv1.DeploymentSpec{Template: pods}},
		"StatefulSet":           &appsv1.StatefulSet{ObjectMeta: meta(), Spec: appsv1.StatefulSetSpec{Template: pods}},
		"DaemonSet":             &appsv1.DaemonSet{ObjectMeta: meta(), Spec: appsv1.DaemonSetSpec{Template: pods}},
		"ReplicaSet":            &appsv1.ReplicaSet{ObjectMeta: meta(), Spec: appsv1.ReplicaSetSpec{Template: pods}},
		"ReplicationController": &corev1.ReplicationController{ObjectMeta: meta(), Spec: corev1.ReplicationControllerSpec{Template: &pods}},
		"Job":                   &batchv1.Job{ObjectMeta: meta(), Spec: batchv1.JobSpec{Template: jobPods}},
		"CronJob": &batchv1.CronJob{
			ObjectMeta: meta(), Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: pods}}},
		},
		"Pod": pod,
	}
}

func groupVersion(kind string) schema.GroupVersion {
	switch kind {
	case "Job", "CronJob":
		return batchv1.SchemeGroupVersion
	case "Pod", "ReplicationController":
		return corev1.SchemeGroupVersion
	default:
		return appsv1.SchemeGroupVersion
	}
}

func TestWhatCountsOfATemplate(t *testing.T) {
	want := template.Template{
		Labels: map[string]string{"app": "lis"}, ServiceAccount: "robot", PullSecrets: []string{"first", "second"},
		Platform: posture.Platform{OS: "linux", Architecture: "arm64"},
		Images: []posture.TemplateImage{
			{Container: "migrate", Reference: "lab/migrate:1", Init: true}, {Container: "sidecar", Reference: "lab/proxy:1", Init: true},
			{Container: "app", Reference: "lab/lis:2"}, {Container: "second", Reference: "lab/lis:2"},
			{Container: "volume models", Reference: "lab/models:7"},
		},
	}
	spec := podSpec()
	got := template.FromPod(podTemplate().ObjectMeta, &spec)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"lab/migrate:1", "lab/proxy:1", "lab/lis:2", "lab/models:7"}, got.References()); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	query := posture.ImageQuery{
		Reference: "lab/lis:2", Namespace: "pathology", ServiceAccount: "robot", PullSecrets: []string{"first", "second"},
		Platform: posture.Platform{OS: "linux", Architecture: "arm64"},
	}
	if diff := cmp.Diff(query, got.Query("pathology", "lab/lis:2")); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	for container, reference := range map[string]string{"app": "lab/lis:2", "volume models": "lab/models:7", "models": "", "injected": ""} {
		if declared, found := got.Declares(container); declared != reference || found != (reference != "") {
			t.Errorf("%s declares %q, %t", container, declared, found)
		}
	}
}

func TestThePlatformThatANodeSelectorAsksFor(t *testing.T) {
	tests := map[string]struct {
		selector map[string]string
		want     posture.Platform
	}{
		"nothing":                         {nil, posture.Platform{}},
		"something else":                  {map[string]string{"disk": "ssd"}, posture.Platform{}},
		"an architecture means Linux":     {map[string]string{corev1.LabelArchStable: "arm64"}, posture.Platform{OS: "linux", Architecture: "arm64"}},
		"an operating system means amd64": {map[string]string{corev1.LabelOSStable: "windows"}, posture.Platform{OS: "windows", Architecture: "amd64"}},
		"both": {
			map[string]string{corev1.LabelOSStable: "windows", corev1.LabelArchStable: "arm64"}, posture.Platform{OS: "windows", Architecture: "arm64"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := template.FromPod(metav1.ObjectMeta{}, &corev1.PodSpec{NodeSelector: test.selector})
			if got.Platform != test.want || got.ServiceAccount != "default" {
				t.Errorf("got %v as %s, want %v as default", got.Platform, got.ServiceAccount, test.want)
			}
		})
	}
}

// Caches hold objects, webhooks get their JSON: both have to see the same.
func TestAnObjectAndItsJSONAreReadAlike(t *testing.T) {
	for kind, object := range objects() {
		t.Run(kind, func(t *testing.T) {
			read, known := template.FromObject(object)
			if !known {
				t.Fatal("the kind is not known")
			}
			object.GetObjectKind().SetGroupVersionKind(groupVersion(kind).WithKind(kind))
			raw, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := template.Decode(kind, raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(read, *decoded); diff != "" {
				t.Errorf("(-object +JSON):\n%s", diff)
			}
			if len(read.Template.Images) != 5 || read.Kind != kind || read.Controller().Name != "nightly" || read.Template.Labels["app"] != "lis" {
				t.Errorf("read %+v", read)
			}
		})
	}
}

func TestOnlyThingsThatMakePodsAreKnown(t *testing.T) {
	for _, object := range []runtime.Object{&corev1.ConfigMap{}, &appsv1.ControllerRevision{}, nil} {
		if root, known := template.FromObject(object); known {
			t.Errorf("%T is read as %+v", object, root)
		}
	}
	if root, known := template.FromObject(&corev1.ReplicationController{}); !known || len(root.Template.Images) != 0 {
		t.Errorf("a replication controller without template is read as %+v", root)
	}
}

func TestDecode(t *testing.T) {
	images := func(raw string) string {
		return `{"metadata":{"name":"lis"},"spec":{"template":{"spec":` + raw + `}}}`
	}
	tests := map[string]struct {
		kind, raw string
		want      []string
	}{
		"a Rollout of Argo":                         {"Rollout", images(`{"containers":[{"name":"app","image":"a:1"}],"initContainers":[{"name":"i","image":"b:1"}]}`), []string{"b:1", "a:1"}},
		"a Rollout that names a Deployment instead": {"Rollout", `{"metadata":{"name":"lis"},"spec":{"workloadRef":{"kind":"Deployment","name":"lis"}}}`, nil},
		"containers that are null":                  {"Rollout", images(`{"containers":null}`), nil},
		"fields that nobody knows":                  {"Rollout", images(`{"containers":[{"name":"app","image":"a:1","turbo":true}],"warp":9}`), []string{"a:1"}},
		// A custom resource may carry any key; the API server goes by the exact one, and sorts them.
		"a key in other letters, which would hide the real one":   {"Rollout", images(`{"initContainers":[{"name":"i","image":"b:1"}],"initcontainers":[]}`), []string{"b:1"}},
		"a key in other letters, which would be taken for one":    {"Rollout", images(`{"Containers":[{"name":"i","image":"b:1"}]}`), nil},
		"an image in other letters":                               {"Rollout", images(`{"containers":[{"name":"i","image":"b:1","imaGe":"c:1"}]}`), []string{"b:1"}},
		"a spec in other letters":                                 {"Rollout", `{"spec":{"template":{"spec":{"containers":[{"name":"i","image":"b:1"}]}}},"sPec":{}}`, []string{"b:1"}},
		"a Pod without spec":                                      {"Pod", `{"metadata":{"name":"lis"}}`, nil},
		"a CronJob without spec":                                  {"CronJob", `{"metadata":{"name":"lis"}}`, nil},
		"a Deployment without spec":                               {"Deployment", `{"metadata":{"name":"lis"}}`, nil},
		"a CronJob, whose template is one level further down":     {"CronJob", `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"a:1"}]}}}}}}`, []string{"a:1"}},
		"a revision of a StatefulSet, which is a patch of a spec": {"StatefulSet", `{"spec":{"template":{"$patch":"replace","spec":{"containers":[{"name":"a","image":"a:1"}]}}}}`, []string{"a:1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := template.Decode(test.kind, []byte(test.raw))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, root.Template.References(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if root.Kind != test.kind {
				t.Errorf("kind is %q", root.Kind)
			}
		})
	}
}

func TestDecodeRefusesWhatIsNoObject(t *testing.T) {
	tests := map[string]struct{ kind, raw, want string }{
		"nothing":                     {"Pod", ``, "read Pod"},
		"a list":                      {"Deployment", `[]`, "read Deployment"},
		"half an object":              {"Deployment", `{"metadata":`, "read Deployment"},
		"labels that are a list":      {"Deployment", `{"metadata":{"labels":[]}}`, "read Deployment"},
		"containers that are a word":  {"Rollout", `{"metadata":{"namespace":"a","name":"b"},"spec":{"template":{"spec":{"containers":"x"}}}}`, "pod template of Rollout a/b"},
		"a template that is a number": {"Rollout", `{"spec":{"template":3}}`, "pod template of Rollout"},
		"a CronJob's that is a word":  {"CronJob", `{"spec":{"jobTemplate":"x"}}`, "pod template of CronJob"},
		"a Pod's spec that is a word": {"Pod", `{"spec":"x"}`, "pod template of Pod"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root, err := template.Decode(test.kind, []byte(test.raw))
			if err == nil || root != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %+v, %v; want an error with %q", root, err, test.want)
			}
		})
	}
}

// The API server gives these labels to the pods of a Job between mutating and validating admission.
func TestTheLabelsOfAJobsPodsAreThereBeforeTheAPIServerGivesThem(t *testing.T) {
	root, err := template.Decode("Job", []byte(`{"metadata":{"name":"nightly"},"spec":{"template":{"metadata":{"labels":{"app":"lis"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"app": "lis", batchv1.JobNameLabel: "nightly", "job-name": "nightly"} {
		if root.Template.Labels[key] != value {
			t.Errorf("%s is %q", key, root.Template.Labels[key])
		}
	}
	if _, found := root.Template.Labels[batchv1.ControllerUidLabel]; !found {
		t.Error("the label with the UID of the Job is missing")
	}
}

func TestRunningReference(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	tests := map[string]struct{ spec, imageID, want string }{
		"takes the repository of the spec":                       {"registry.lab.example/lis:2", "registry.lab.example/lis@" + digest, "registry.lab.example/lis@" + digest},
		"when the node knows the content by another name":        {"registry.lab.example/lis:2", "mirror.example/copy@" + digest, "registry.lab.example/lis@" + digest},
		"when dockershim gives a scheme":                         {"lis:2", "docker-pullable://lis@" + digest, "docker.io/library/lis@" + digest},
		"when the runtime gives a bare digest":                   {"lab/lis", digest, "docker.io/lab/lis@" + digest},
		"and drops the digest of the spec":                       {"lab/lis:2@sha256:" + strings.Repeat("cd", 32), digest, "docker.io/lab/lis@" + digest},
		"with a port":                                            {"localhost:5000/lis", digest, "localhost:5000/lis@" + digest},
		"is none before the container has started":               {"lis:2", "", ""},
		"is none for a digest of another length":                 {"lis:2", "lis@sha256:abc", ""},
		"is none for another algorithm":                          {"lis:2", "lis@sha512:" + strings.Repeat("ab", 64), ""},
		"is none without a spec":                                 {"", digest, ""},
		"is none for a spec that no runtime can read":            {"li s:2", digest, ""},
		"is none for a digest with something behind it":          {"lis:2", "lis@" + digest + "\n", ""},
		"is none for upper-case digits, which no runtime writes": {"lis:2", "lis@sha256:" + strings.Repeat("AB", 32), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := template.RunningReference(test.spec, test.imageID); ok != (test.want != "") || ok && got != test.want {
				t.Errorf("got %q, %t; want %q", got, ok, test.want)
			}
		})
	}
}

func FuzzRunningReference(f *testing.F) {
	digest := "sha256:" + strings.Repeat("0", 64)
	f.Add("lis:2", "docker-pullable://lis@"+digest)
	f.Add("@", digest)
	f.Add("a\u00a0b", "://://"+digest)
	f.Fuzz(func(t *testing.T, spec, imageID string) {
		reference, ok := template.RunningReference(spec, imageID)
		if !ok {
			return
		}
		repository, digest, found := strings.Cut(reference, "@")
		if !found || repository == "" || !strings.HasSuffix(imageID, digest) || len(digest) != 71 || !template.Valid(reference) {
			t.Errorf("%q with %q is %q", spec, imageID, reference)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for kind, object := range objects() {
		raw, err := json.Marshal(object)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, raw)
	}
	f.Add("Rollout", []byte(`{"spec":{"template":{"spec":{"volumes":[{"image":null},{"image":{}}],"containers":[null,{}]}}}}`))
	f.Add("Job", []byte(`null`))
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		root, err := template.Decode(kind, raw)
		if (err == nil) == (root == nil) {
			t.Fatalf("root %v with error %v", root, err)
		}
		if err != nil {
			return
		}
		for _, image := range root.Template.Images {
			if image.Reference == "" {
				t.Errorf("container %q has an empty image", image.Container)
			}
		}
	})
}
