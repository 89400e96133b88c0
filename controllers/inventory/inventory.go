// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
)

// ArgoRollout is the kind of Argo Rollouts, which is judged where its CRD exists.
var ArgoRollout = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}

// maxOwners is how far owners are followed. Controllers of Kubernetes make at most two: CronJob, Job, pod.
const maxOwners = 8

// Served says which optional kinds the cluster serves.
type Served interface {
	Serves(kind schema.GroupKind) bool
}

// Namespace is what makes pods in one namespace, and the pods.
type Namespace struct {
	// Roots are the objects with a pod template, and the pods, that no controller owns.
	Roots []template.Root
	// Owned are ReplicaSets, Jobs and other objects with a pod template that a controller owns.
	Owned []template.Root
	// Pods are all pods.
	Pods []corev1.Pod

	byUID    map[types.UID]*template.Root
	airlock  []string
	replicas map[types.UID]int32
}

// List reads the inventory of a namespace.
func List(ctx context.Context, reader client.Reader, served Served, namespace string) (*Namespace, error) {
	found := &Namespace{byUID: map[types.UID]*template.Root{}, replicas: map[types.UID]int32{}}
	lists := []client.ObjectList{
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.DaemonSetList{}, &appsv1.ReplicaSetList{},
		&corev1.ReplicationControllerList{}, &batchv1.JobList{}, &batchv1.CronJobList{}, &corev1.PodList{},
	}
	for _, list := range lists {
		if err := reader.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list %T of namespace %s: %w", list, namespace, err)
		}
		if err := meta.EachListItem(list, found.add); err != nil {
			return nil, fmt.Errorf("read %T of namespace %s: %w", list, namespace, err)
		}
	}
	if served.Serves(ArgoRollout.GroupKind()) {
		if err := found.addRollouts(ctx, reader, namespace); err != nil {
			return nil, err
		}
	}
	found.index()
	return found, nil
}

func (n *Namespace) add(object runtime.Object) error {
	if pod, isPod := object.(*corev1.Pod); isPod {
		n.Pods = append(n.Pods, *pod)
	}
	if deployment, isDeployment := object.(*appsv1.Deployment); isDeployment {
		n.replicas[deployment.UID] = ptr.Deref(deployment.Spec.Replicas, 1)
	}
	if root, known := template.FromObject(object); known {
		n.put(root)
	}
	return nil
}

// LeaveOutAirlock leaves the sidecars that labguard has added to pods out of their images from now on, given the images that airlock has.
func (n *Namespace) LeaveOutAirlock(images ...string) {
	n.airlock = images
	for i := range n.Roots {
		n.Roots[i].LeaveOutAirlock(images...)
	}
}

// Pod is a pod as an object of its own.
func (n *Namespace) Pod(pod *corev1.Pod) template.Root {
	self, _ := template.FromObject(pod)
	self.LeaveOutAirlock(n.airlock...)
	return self
}

// Replicas is how many pods a Deployment declares; zero for anything else.
func (n *Namespace) Replicas(deployment *template.Root) int32 { return n.replicas[deployment.UID] }

func (n *Namespace) put(root template.Root) {
	switch {
	case root.Controller() == nil:
		n.Roots = append(n.Roots, root)
	case root.Kind != "Pod":
		n.Owned = append(n.Owned, root)
	}
}

func (n *Namespace) addRollouts(ctx context.Context, reader client.Reader, namespace string) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(ArgoRollout.GroupVersion().WithKind("RolloutList"))
	if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("list Argo Rollouts of namespace %s: %w", namespace, err)
	}
	for i := range list.Items {
		raw, err := json.Marshal(list.Items[i].Object)
		if err != nil {
			return fmt.Errorf("encode Rollout %s/%s: %w", namespace, list.Items[i].GetName(), err)
		}
		root, err := template.Decode(ArgoRollout.Kind, raw)
		if err != nil {
			continue // a template that cannot be read has no images to judge; Argo's own schema reports it
		}
		n.put(*root)
	}
	return nil
}

func (n *Namespace) index() {
	for i := range n.Roots {
		n.byUID[n.Roots[i].UID] = &n.Roots[i]
	}
	for i := range n.Owned {
		n.byUID[n.Owned[i].UID] = &n.Owned[i]
	}
}

// OwnerOf is the object with a pod template that controls an object, and the root workload above it. Both are nil where
// the controller is of a kind that labguard does not know, or is not there; the latter also where owners lead nowhere, since anybody
// may write them, in a circle too.
func (n *Namespace) OwnerOf(object *template.Root) (owner, top *template.Root) {
	current := object
	for range maxOwners {
		reference := current.Controller()
		if reference == nil {
			if current == object {
				return nil, nil
			}
			return owner, current
		}
		next := n.byUID[reference.UID]
		if next == nil || next.Kind != reference.Kind {
			return owner, nil
		}
		if owner == nil {
			owner = next
		}
		current = next
	}
	return owner, nil
}

// Held are the root workloads and bare pods that labguard holds, and what it holds though a controller owns it: a Job that a person made from a CronJob, or
// an object that somebody gave an owner later. An owner lets nobody out of a hold, so it must not keep anybody in it either. ReplicaSets have
// copies of the marker of their Deployment, and are held with it.
func (n *Namespace) Held() []*template.Root {
	var held []*template.Root
	for i := range n.Roots {
		if root := &n.Roots[i]; root.Held() && root.DeletionTimestamp == nil {
			held = append(held, root)
		}
	}
	for i := range n.Owned {
		if root := &n.Owned[i]; root.Kind != "ReplicaSet" && root.Held() && root.DeletionTimestamp == nil {
			held = append(held, root)
		}
	}
	for i := range n.Pods {
		root := n.Pod(&n.Pods[i])
		if root.Controller() != nil && hold.Marked(root.Annotations) && root.Template.Gated && root.DeletionTimestamp == nil {
			held = append(held, &root)
		}
	}
	return held
}

// InUse are, for each root workload by UID, the references that its old revisions and pods have.
func (n *Namespace) InUse() map[types.UID][]string {
	used := map[types.UID][]string{}
	for i := range n.Owned {
		if _, top := n.OwnerOf(&n.Owned[i]); top != nil {
			used[top.UID] = append(used[top.UID], n.Owned[i].Template.References()...)
		}
	}
	return used
}
