// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"slices"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// references remembers which LabWorkloads asked about which image, so that facts that arrive wake those and no others.
type references struct {
	lock   sync.Mutex
	askers map[string][]client.ObjectKey
	asked  map[client.ObjectKey][]string
}

// set notes what a LabWorkload asks about, instead of what it asked about before.
func (r *references) set(key client.ObjectKey, asked []string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if slices.Equal(r.asked[key], asked) {
		return
	}
	r.drop(key)
	if r.asked == nil {
		r.askers, r.asked = map[string][]client.ObjectKey{}, map[client.ObjectKey][]string{}
	}
	r.asked[key] = asked
	for _, reference := range asked {
		r.askers[reference] = append(r.askers[reference], key)
	}
}

// forget drops a LabWorkload that is gone.
func (r *references) forget(key client.ObjectKey) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.drop(key)
}

func (r *references) drop(key client.ObjectKey) {
	for _, reference := range r.asked[key] {
		left := slices.DeleteFunc(r.askers[reference], func(other client.ObjectKey) bool { return other == key })
		if len(left) == 0 {
			delete(r.askers, reference)
			continue
		}
		r.askers[reference] = left
	}
	delete(r.asked, key)
}

// of are the LabWorkloads that asked about an image.
func (r *references) of(reference string) []client.ObjectKey {
	r.lock.Lock()
	defer r.lock.Unlock()
	return slices.Clone(r.askers[reference])
}
