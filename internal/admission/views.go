// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"strings"
	"sync"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/rollout"
)

// maxViews bounds the memory of Views: so many namespaces are kept, and then all are arranged anew when they are asked for.
const maxViews = 1000

// viewOf is the namespace as a reader has it now: kept, if the reader is a Views, or else arranged for this request alone.
func viewOf(ctx context.Context, reader client.Reader, namespace string) (*rollout.Namespace, error) {
	if views, keeps := reader.(*Views); keeps {
		return views.of(ctx, namespace)
	}
	return readView(ctx, reader, namespace)
}

func readView(ctx context.Context, reader client.Reader, namespace string) (*rollout.Namespace, error) {
	var workloads v1alpha1.LabWorkloadList
	if err := reader.List(ctx, &workloads, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list LabWorkloads of namespace %s: %w", namespace, err)
	}
	var records v1alpha1.RolloutRecordList
	if err := reader.List(ctx, &records, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list rollout records of namespace %s: %w", namespace, err)
	}
	return rollout.Arrange(namespace, workloads.Items, records.Items), nil
}

// Views is a reader that keeps, for each namespace with requests, what they need, arranged once for each change of its LabWorkloads and
// RolloutRecords and not once for each request: with 200 of each in a namespace that is most of the work. Until Watch has been called it keeps
// nothing, since it would not learn of changes.
type Views struct {
	client.Reader

	lock    sync.Mutex
	watched bool
	kept    map[string]*keeping
}

// keeping is the place of one view; the view is nil while it is being arranged. A change takes the place away, so that what was
// read before the change finds it no more.
type keeping struct{ view *rollout.Namespace }

// NewViews keeps nothing yet; see Watch.
func NewViews(reader client.Reader) *Views {
	return &Views{Reader: reader, kept: map[string]*keeping{}}
}

// Watch learns of changes from the informers that the reader reads from. An informer puts a change into its store before it tells anybody, so
// a view that was read before a change is always dropped after it; between the two lie microseconds.
func (v *Views) Watch(ctx context.Context, informers cache.Informers) error {
	for _, kind := range []client.Object{&v1alpha1.LabWorkload{}, &v1alpha1.RolloutRecord{}} {
		informer, err := informers.GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("watch %T for the webhooks: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: v.forget, UpdateFunc: func(_, object any) { v.forget(object) }, DeleteFunc: v.forget,
		}); err != nil {
			return fmt.Errorf("watch %T for the webhooks: %w", kind, err)
		}
	}
	v.lock.Lock()
	defer v.lock.Unlock()
	v.watched = true
	return nil
}

// forget drops the view of the namespace of an object that has changed. Of a deleted object there may be only the key.
func (v *Views) forget(object any) {
	key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object)
	namespace, _, namespaced := strings.Cut(key, "/")
	v.lock.Lock()
	defer v.lock.Unlock()
	if err != nil || !namespaced {
		clear(v.kept) // whatever it was, nothing that is kept can be wrong now
		return
	}
	delete(v.kept, namespace)
}

func (v *Views) of(ctx context.Context, namespace string) (*rollout.Namespace, error) {
	ready, place := v.find(namespace)
	if ready != nil {
		return ready, nil
	}
	arranged, err := readView(ctx, v.Reader, namespace)
	if err != nil {
		return nil, err
	}
	v.lock.Lock()
	defer v.lock.Unlock()
	if v.kept[namespace] == place { // else something has changed meanwhile, or another request arranges it too
		place.view = arranged
	}
	return arranged, nil
}

// find gives the view that is kept, or a place for one.
func (v *Views) find(namespace string) (ready *rollout.Namespace, place *keeping) {
	v.lock.Lock()
	defer v.lock.Unlock()
	if known := v.kept[namespace]; known != nil && known.view != nil {
		return known.view, nil
	}
	place = &keeping{}
	if !v.watched {
		return nil, place
	}
	if len(v.kept) >= maxViews {
		clear(v.kept)
	}
	v.kept[namespace] = place
	return nil, place
}
