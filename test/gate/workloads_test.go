// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Images that nothing ever pulls: no node is there.
const (
	imageOne   = "registry.example/app:1"
	imageTwo   = "registry.example/app:2"
	imageThree = "registry.example/app:3"
)

// kind is one of the built-in kinds that bring images.
type kind struct {
	schema.GroupVersionResource
	kind string
	// path is where the pod spec is.
	path []string
}

var (
	deployments  = kind{gvr("apps", "v1", "deployments"), "Deployment", templatePath}
	statefulSets = kind{gvr("apps", "v1", "statefulsets"), "StatefulSet", templatePath}
	daemonSets   = kind{gvr("apps", "v1", "daemonsets"), "DaemonSet", templatePath}
	replicaSets  = kind{gvr("apps", "v1", "replicasets"), "ReplicaSet", templatePath}
	controllers  = kind{gvr("", "v1", "replicationcontrollers"), "ReplicationController", templatePath}
	jobs         = kind{gvr("batch", "v1", "jobs"), "Job", templatePath}
	cronJobs     = kind{gvr("batch", "v1", "cronjobs"), "CronJob", []string{"spec", "jobTemplate", "spec", "template", "spec"}}
	pods         = kind{gvr("", "v1", "pods"), "Pod", []string{"spec"}}

	templatePath = []string{"spec", "template", "spec"}
	allKinds     = []kind{deployments, statefulSets, daemonSets, replicaSets, controllers, jobs, cronJobs, pods}
	// changeable are the kinds whose template may be changed.
	changeable = []kind{deployments, statefulSets, daemonSets, replicaSets, controllers, cronJobs}
)

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

// object gives a small object of the kind that runs image.
func (k kind) object(name, image string) *unstructured.Unstructured {
	podSpec := map[string]any{"containers": []any{map[string]any{"name": "app", "image": image}}}
	labels := map[string]any{"app": name}
	object := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name}}}
	object.SetGroupVersionKind(k.GroupVersion().WithKind(k.kind))
	spec := map[string]any{}
	switch k.kind {
	case pods.kind:
		spec = podSpec
	case jobs.kind, cronJobs.kind:
		podSpec["restartPolicy"] = "Never"
		spec = map[string]any{"template": map[string]any{"spec": podSpec}}
		if k.kind == cronJobs.kind {
			spec = map[string]any{"schedule": "0 0 1 1 *", "jobTemplate": map[string]any{"spec": spec}}
		}
	default:
		spec["template"] = map[string]any{"metadata": map[string]any{"labels": labels}, "spec": podSpec}
		spec["selector"] = map[string]any{"matchLabels": labels}
		if k.kind == controllers.kind {
			spec["selector"] = labels
		}
		if k.kind == statefulSets.kind {
			spec["serviceName"] = name
		}
	}
	object.Object["spec"] = spec
	return object
}

// at wraps a patch of the pod spec.
func (k kind) at(patch string) string {
	for _, field := range slices.Backward(k.path) {
		patch = fmt.Sprintf(`{%q:%s}`, field, patch)
	}
	return patch
}

// withImage is a strategic merge patch that changes the image of the container "app".
func (k kind) withImage(image string) string {
	return k.at(fmt.Sprintf(`{"containers":[{"name":"app","image":%q}]}`, image))
}

// annotated is a merge patch of annotations, written as the inside of a JSON object.
func annotated(annotations string) string {
	return `{"metadata":{"annotations":{` + annotations + `}}}`
}

func (l lab) create(user string, k kind, object *unstructured.Unstructured) error {
	l.Helper()
	_, err := l.dynamic(user).Resource(k.GroupVersionResource).Namespace(l.Namespace).Create(l.Context(), object, metav1.CreateOptions{})
	return err
}

// patch is a strategic merge patch.
func (l lab) patch(user string, k kind, name, patch string, subresources ...string) error {
	l.Helper()
	_, err := l.dynamic(user).Resource(k.GroupVersionResource).Namespace(l.Namespace).
		Patch(l.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	return err
}

func (l lab) get(k kind, name string) *unstructured.Unstructured {
	l.Helper()
	object, err := l.dynamic("").Resource(k.GroupVersionResource).Namespace(l.Namespace).Get(l.Context(), name, metav1.GetOptions{})
	l.Must(err)
	return object
}

func (l lab) list(ctx context.Context, k kind, selector string) ([]unstructured.Unstructured, error) {
	list, err := l.dynamic("").Resource(k.GroupVersionResource).Namespace(l.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// awaitChildren returns the objects with the label app=name once there are count of them, none being deleted.
func (l lab) awaitChildren(k kind, name string, count int) []unstructured.Unstructured {
	l.Helper()
	var children []unstructured.Unstructured
	l.Eventually(fmt.Sprintf("%s has %d %s", name, count, k.Resource), func(ctx context.Context) (bool, error) {
		all, err := l.list(ctx, k, "app="+name)
		children = slices.DeleteFunc(all, func(o unstructured.Unstructured) bool { return o.GetDeletionTimestamp() != nil })
		return len(children) == count, err
	})
	return children
}

// image is that of the container "app" now.
func (l lab) image(k kind, name string) string {
	l.Helper()
	containers, _, err := unstructured.NestedSlice(l.get(k, name).Object, append(slices.Clone(k.path), "containers")...)
	l.Must(err)
	image, _, err := unstructured.NestedString(containers[0].(map[string]any), "image")
	l.Must(err)
	return image
}

// file writes objects as a manifest for kubectl and returns its path.
func (l lab) file(objects ...*unstructured.Unstructured) string {
	l.Helper()
	var manifest strings.Builder
	for _, object := range objects {
		content, err := json.Marshal(object.Object)
		l.Must(err)
		fmt.Fprintf(&manifest, "---\n%s\n", content)
	}
	path := filepath.Join(l.TempDir(), "manifest.yaml")
	l.Must(os.WriteFile(path, []byte(manifest.String()), 0o600))
	return path
}

// ownedBy adds a controller reference.
func ownedBy(object, owner *unstructured.Unstructured) *unstructured.Unstructured {
	yes := true
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(), Controller: &yes,
	}})
	return object
}
