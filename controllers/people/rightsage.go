// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"
	"maps"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// RightsLast is how long a report counts after the cache of RBAC was last seen to have what the API server has. A watch that has died says nothing
	// of it.
	RightsLast = 15 * time.Minute
	// compareEvery is how often that is looked at, and compareAgain how soon after a difference or a failure.
	compareEvery, compareAgain = 5 * time.Minute, time.Minute
	// comparePage is how many objects come with one answer, and compareWithin bounds the whole.
	comparePage, compareWithin = 500, time.Minute
)

// rightsLists are lists of the kinds that the search for rights reads.
func rightsLists() map[string]client.ObjectList {
	return map[string]client.ObjectList{
		"ClusterRole": &rbacv1.ClusterRoleList{}, "Role": &rbacv1.RoleList{},
		"ClusterRoleBinding": &rbacv1.ClusterRoleBindingList{}, "RoleBinding": &rbacv1.RoleBindingList{},
	}
}

// confirm notes that at that time the cache had what the API server has.
func (r *Rights) confirm(at time.Time) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.confirmed = at
}

// fresh says whether that was lately.
func (r *Rights) fresh() bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.kept.clock.Now().Before(r.confirmed.Add(RightsLast))
}

// keepComparing compares the cache with the API server until the context ends, and tells when the report begins or ceases to count.
func (r *Rights) keepComparing(ctx context.Context) {
	counted, wait := true, compareEvery
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kept.clock.After(wait):
		}
		at := r.kept.clock.Now()
		same, err := r.compare(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.FromContext(ctx).Error(err, "what is known of RBAC cannot be compared with the API server, which is tried again")
			wait = compareAgain
		case same:
			r.confirm(at)
			wait = compareEvery
		default:
			wait = compareAgain
		}
		if counts := r.fresh(); counts != counted {
			counted = counts
			log.FromContext(ctx).Info("whether it is known who could go around the gate for people has changed", "known", counts)
			r.kept.tell()
		}
	}
}

// compare says whether the cache has just the objects of the API server, each as it is there.
func (r *Rights) compare(ctx context.Context) (bool, error) {
	ctx, end := context.WithTimeout(ctx, compareWithin)
	defer end()
	for kind, cached := range rightsLists() {
		there, err := r.versionsThere(ctx, kind)
		if err != nil {
			return false, err
		}
		if err := r.bindings.List(ctx, cached, client.UnsafeDisableDeepCopy); err != nil {
			return false, fmt.Errorf("list each cached %s: %w", kind, err)
		}
		here := map[client.ObjectKey]string{}
		if err := note(here, cached); err != nil {
			return false, err
		}
		if !maps.Equal(here, there) {
			return false, nil
		}
	}
	return true, nil
}

// versionsThere asks the API server itself for the version of each object of a kind.
func (r *Rights) versionsThere(ctx context.Context, kind string) (map[client.ObjectKey]string, error) {
	there, options := map[client.ObjectKey]string{}, client.ListOptions{Limit: comparePage}
	for {
		page := &metav1.PartialObjectMetadataList{}
		page.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind(kind + "List"))
		if err := r.live.List(ctx, page, &options); err != nil {
			return nil, fmt.Errorf("list each %s: %w", kind, err)
		}
		if err := note(there, page); err != nil {
			return nil, err
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return there, nil
		}
	}
}

// note adds the version of each object of a list.
func note(versions map[client.ObjectKey]string, list client.ObjectList) error {
	return meta.EachListItem(list, func(object runtime.Object) error {
		one, err := meta.Accessor(object)
		if err != nil {
			return fmt.Errorf("look at an object of %T: %w", list, err)
		}
		versions[client.ObjectKey{Namespace: one.GetNamespace(), Name: one.GetName()}] = one.GetResourceVersion()
		return nil
	})
}
