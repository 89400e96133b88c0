// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template_test

import (
	stdjson "encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/labguard/labguard/internal/posture/template"
)

// wholly reads an object as Decode does, by the decoder of Kubernetes and all of it.
func wholly(kind string, raw []byte) (*template.Root, error) {
	type pods struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              podFields `json:"spec"`
	}
	var head struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, err
	}
	var found pods
	var err error
	switch kind {
	case "Pod":
		err = json.Unmarshal(raw, &found)
	case "CronJob":
		var object struct {
			Spec struct {
				JobTemplate struct {
					Spec struct {
						Template pods `json:"template"`
					} `json:"spec"`
				} `json:"jobTemplate"`
			} `json:"spec"`
		}
		err = json.Unmarshal(raw, &object)
		found = object.Spec.JobTemplate.Spec.Template
	default:
		var object struct {
			Spec struct {
				Template pods `json:"template"`
			} `json:"spec"`
		}
		err = json.Unmarshal(raw, &object)
		found = object.Spec.Template
	}
	spec := found.Spec.podSpec()
	root := &template.Root{TypeMeta: head.TypeMeta, ObjectMeta: head.ObjectMeta, Template: template.FromPod(found.ObjectMeta, &spec)}
	root.ManagedFields = nil
	return root, err
}

// podFields are the fields that count; others may have any type, as in a custom resource.
type podFields struct {
	InitContainers     []named           `json:"initContainers"`
	Containers         []named           `json:"containers"`
	Volumes            []volume          `json:"volumes"`
	NodeSelector       map[string]string `json:"nodeSelector"`
	ServiceAccountName string            `json:"serviceAccountName"`

	SchedulingGates  []corev1.PodSchedulingGate `json:"schedulingGates"`
	ImagePullSecrets []struct {
		Name string `json:"name"`
	} `json:"imagePullSecrets"`
}

type named struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type volume struct {
	Name  string `json:"name"`
	Image *struct {
		Reference string `json:"reference"`
	} `json:"image"`
}

func (p *podFields) podSpec() corev1.PodSpec {
	spec := corev1.PodSpec{NodeSelector: p.NodeSelector, ServiceAccountName: p.ServiceAccountName, SchedulingGates: p.SchedulingGates}
	for _, container := range p.InitContainers {
		spec.InitContainers = append(spec.InitContainers, corev1.Container{Name: container.Name, Image: container.Image})
	}
	for _, container := range p.Containers {
		spec.Containers = append(spec.Containers, corev1.Container{Name: container.Name, Image: container.Image})
	}
	for _, one := range p.Volumes {
		if one.Image != nil {
			image := &corev1.ImageVolumeSource{Reference: one.Image.Reference}
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: one.Name, VolumeSource: corev1.VolumeSource{Image: image}})
		}
	}
	for _, secret := range p.ImagePullSecrets {
		spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: secret.Name})
	}
	return spec
}

// compare reads an object in both ways.
func compare(t *testing.T, kind string, raw []byte) {
	t.Helper()
	want, wantErr := wholly(kind, raw)
	got, err := template.Decode(kind, raw)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error %v, want %v", err, wantErr)
	}
	if err != nil {
		return
	}
	if want.Kind == "" {
		want.Kind = kind
	}
	if kind == "Job" { // these are given, whatever the object says
		want.Template.Labels, got.Template.Labels = nil, nil
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b metav1.Time) bool { return a.Equal(&b) })); diff != "" {
		t.Errorf("(-whole +parts):\n%s", diff)
	}
}

func TestOnlyWhatCountsIsReadAndAllOfIt(t *testing.T) {
	long := strings.Repeat("x", 5000)
	tests := map[string]string{
		"escapes in names and values":          `{"metadata":{"n\u0061me":"l\u00efs","annotations":{"\"q\"":"a\\\"b\nc","e":""}},"spec":{"template":{"spec":{"\u0063ontainers":[{"im\u0061ge":"a\u002fb:1","name":"\ud83d\ude00"}]}}}}`,
		"brackets and quotes in skipped words": `{"spec":{"x":"}]\"{[","template":{"y":["]","}",{"z":"\\"}],"spec":{"containers":[{"args":["}","\\\"","{"],"name":"a","image":"b:1"}]}}}}`,
		"white space":                          " {\n\t\"spec\" : { \"template\" :\r { \"spec\" : { \"containers\" : [ { \"image\" : \"a:1\" } , { } ] } } } } \n",
		"null everywhere":                      `{"apiVersion":null,"kind":null,"metadata":null,"spec":{"template":{"metadata":null,"spec":{"containers":[null,{"name":null,"image":null}],"volumes":null,"nodeSelector":null,"serviceAccountName":null,"imagePullSecrets":[null]}}}}`,
		"null in a map":                        `{"metadata":{"labels":{"a":null}},"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/arch":null}}}}}`,
		"numbers, true and false":              `{"spec":{"replicas":-1.5e+9,"paused":true,"template":{"spec":{"hostNetwork":false,"containers":[{"image":"a:1","stdin":true}]}}}}`,
		"a field before its neighbour":         `{"spec":{"template":{"spec":{"volumes":[{"image":{"pullPolicy":"Always","reference":"a:1"},"name":"m"}]},"metadata":{"labels":{"app":"lis"}}}},"metadata":{"name":"lis","uid":"u","generation":3}}`,
		"managed fields":                       `{"metadata":{"name":"lis","managedFields":[{"manager":"x","fieldsV1":{"f:a":{".":{}}}}],"creationTimestamp":"2026-11-23T12:00:00Z","finalizers":["a"]}}`,
		"much that is skipped":                 `{"status":{"x":"` + long + `"},"spec":{"template":{"spec":{"containers":[{"image":"a:1","env":[{"value":"` + long + `"}]}]}}}}`,
		"an owner":                             `{"metadata":{"ownerReferences":[{"kind":"CronJob","name":"n","uid":"u","controller":true}]}}`,
		"an image that is a number":            `{"spec":{"template":{"spec":{"containers":[{"image":1}]}}}}`,
		"an image that is an object":           `{"spec":{"template":{"spec":{"containers":[{"image":{}}]}}}}`,
		"a container that is a list":           `{"spec":{"template":{"spec":{"containers":[[]]}}}}`,
		"containers that are an object":        `{"spec":{"template":{"spec":{"containers":{"image":"a:1"}}}}}`,
		"labels that are no words":             `{"spec":{"template":{"metadata":{"labels":{"a":1}}}}}`,
		"a name that is a number":              `{"metadata":{"name":1}}`,
		"a time that is none":                  `{"metadata":{"creationTimestamp":"yesterday"}}`,
	}
	for name, raw := range tests {
		for _, kind := range []string{"Pod", "CronJob", "Deployment", "Job"} {
			t.Run(kind+" with "+name, func(t *testing.T) {
				if !stdjson.Valid([]byte(raw)) {
					t.Fatal("the test has no JSON")
				}
				compare(t, kind, []byte(raw))
				pod := strings.NewReplacer(`"spec":{"template":`, `"spec":{"jobTemplate":{"spec":{"template":`).Replace(raw)
				if kind == "CronJob" && pod != raw {
					compare(t, kind, []byte(strings.TrimSuffix(pod, "\n")+"}}"))
				}
			})
		}
	}
}

func TestWhatEndsTooEarlyIsNoObject(t *testing.T) {
	whole := `{"metadata":{"name":"lis","labels":{"a":"\"b"}},"spec":{"template":{"spec":{"containers":[{"image":"a:1","x":[1,{"y":"\\"}]}]}}}}`
	for end := range len(whole) {
		if root, err := template.Decode("Deployment", []byte(whole[:end])); err == nil {
			t.Errorf("%s is read as %+v", whole[:end], root)
		}
	}
	for _, raw := range []string{whole + "x", whole + "{}", "{]", `{"spec"}`, `{"spec":}`, `{"spec":{},}`, `{"spec":{} "kind":"x"}`, `{kind:"x"}`} {
		if root, err := template.Decode("Deployment", []byte(raw)); err == nil {
			t.Errorf("%s is read as %+v", raw, root)
		}
	}
}

func TestNoDepthMakesTheReaderDeep(t *testing.T) {
	deep := strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20)
	if _, err := template.Decode("Deployment", []byte(`{"metadata":{"name":"lis"},"spec":{"x":`+deep+`}}`)); err == nil {
		t.Error("a million lists in lists are read")
	}
}

func FuzzDecodeReadsAsTheDecoderOfKubernetes(f *testing.F) {
	for kind, object := range objects() {
		raw, err := stdjson.Marshal(object)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, raw)
	}
	f.Add("Pod", []byte(`{"spec":{"schedulingGates":[null,{"name":"labguard.dev/image-age"}],"containers":[{"image":"a:1"}]}}`))
	f.Add("Rollout", []byte(`{"spec":{"template":{"spec":{"volumes":[{"image":null},{"image":{}}],"containers":[null,{"image":"\u0061"}]}}}}`))
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		var value any
		if stdjson.Unmarshal(raw, &value) != nil {
			return
		}
		written, err := stdjson.Marshal(value) // what the API server sends has no key twice
		if err != nil {
			return
		}
		compare(t, kind, written)
	})
}
