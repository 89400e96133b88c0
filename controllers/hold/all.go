// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/posture/hold"
)

// pageSize is how many objects are read at once when the whole cluster is looked through.
const pageSize = 500

// holdable are the kinds that are held by a field of their own or of their template.
var holdable = []schema.GroupVersionKind{
	appsv1.SchemeGroupVersion.WithKind("Deployment"), appsv1.SchemeGroupVersion.WithKind("StatefulSet"), appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
	batchv1.SchemeGroupVersion.WithKind("CronJob"), batchv1.SchemeGroupVersion.WithKind("Job"),
}

// Everything gives back every hold of the cluster, and takes labguard's gate off every pod, for when labguard leaves. No webhook of labguard may listen
// any more: it would hold again what is still stale. It reads from the API server, as caches may have stopped.
type Everything struct {
	Client client.Client
	Live   client.Reader
}

// Release does it; called again it goes on with what is left. It returns all errors when everything has had its turn.
func (e Everything) Release(ctx context.Context) error {
	var failed []error
	for _, kind := range holdable {
		failed = append(failed, e.releaseKind(ctx, kind))
	}
	// The pods come last: those of a workload that has just been released are replaced anyway.
	return errors.Join(append(failed, e.releasePods(ctx))...)
}

func (e Everything) releaseKind(ctx context.Context, kind schema.GroupVersionKind) error {
	var failed []error
	page := ""
	for {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := e.Live.List(ctx, list, client.Limit(pageSize), client.Continue(page)); err != nil {
			return errors.Join(append(failed, fmt.Errorf("list %s: %w", kind.Kind, err))...)
		}
		for i := range list.Items {
			if hold.Marked(list.Items[i].Annotations) {
				failed = append(failed, e.undo(ctx, kind, client.ObjectKeyFromObject(&list.Items[i])))
			}
		}
		if page = list.Continue; page == "" {
			return errors.Join(failed...)
		}
	}
}

// releasePods takes the gate off pods that wait for a node. One whose mark was put back, by a policy that was still there when its gate was taken off, has its
// turn again.
func (e Everything) releasePods(ctx context.Context) error {
	var failed []error
	page := ""
	for {
		var list corev1.PodList
		err := e.Live.List(ctx, &list, client.MatchingFields{"status.phase": string(corev1.PodPending), "spec.nodeName": ""}, client.Limit(pageSize), client.Continue(page))
		if err != nil {
			return errors.Join(append(failed, fmt.Errorf("list pods that wait for a node: %w", err))...)
		}
		for i := range list.Items {
			if hold.Gated(list.Items[i].Spec.SchedulingGates) || hold.Marked(list.Items[i].Annotations) {
				failed = append(failed, e.undo(ctx, corev1.SchemeGroupVersion.WithKind("Pod"), client.ObjectKeyFromObject(&list.Items[i])))
			}
		}
		if page = list.Continue; page == "" {
			return errors.Join(failed...)
		}
	}
}

func (e Everything) undo(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey) error {
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(kind)
	if err := e.Live.Get(ctx, key, live); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("get %s %s: %w", kind.Kind, key, err)
	}
	answer, err := send(ctx, e.Client, live, undoing(live, nil))
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case hold.Of(answer).Marked():
		return fmt.Errorf("release %s %s: the gate still stands and has put the hold back", kind.Kind, key)
	default:
		return nil
	}
}
