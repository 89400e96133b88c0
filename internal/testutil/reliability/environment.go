// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

const (
	// pollEvery and patience are for what other programs do.
	pollEvery = 20 * time.Millisecond
	patience  = 30 * time.Second
)

// Environment is the API that trials run against.
type Environment struct {
	// Admin arranges and reads.
	Admin client.WithWatch
	// Operator is the identity of the reconcilers; nil means Admin.
	Operator client.WithWatch
	// Keep leaves the namespaces of trials there, for a cluster that ends with the
	// tests: deleting one takes the cluster more requests than most trials make.
	Keep bool
}

// Connect makes an environment out of the access of an administrator and,
// if not nil, that of the operator. It lifts their limits on requests. Kinds that
// are not served at first are not looked for again.
func Connect(admin, operator *rest.Config, scheme *runtime.Scheme) (*Environment, error) {
	env := &Environment{}
	for _, side := range []struct {
		config *rest.Config
		client *client.WithWatch
	}{{admin, &env.Admin}, {operator, &env.Operator}} {
		if side.config == nil {
			continue
		}
		config := rest.CopyConfig(side.config)
		config.QPS = -1
		options := client.Options{Scheme: scheme}
		if err := once(config, &options); err != nil {
			return nil, err
		}
		c, err := client.NewWithWatch(config, options)
		if err != nil {
			return nil, fmt.Errorf("create client: %w", err)
		}
		*side.client = c
	}
	return env, nil
}

// once has clients look up only once what is not served. A REST mapper reads all that the server serves each time it is asked for such a kind, which
// reconcilers of trials do many times, and was most of what a trial cost.
func once(config *rest.Config, options *client.Options) error {
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("create HTTP client: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(config, http)
	if err != nil {
		return fmt.Errorf("create REST mapper: %w", err)
	}
	options.HTTPClient, options.Mapper = http, &remembering{RESTMapper: mapper}
	return nil
}

// remembering is a RESTMapper that asks only once about what is not served.
type remembering struct {
	meta.RESTMapper
	missing sync.Map
}

// RESTMapping fails at once for a kind for which it has failed with no match before.
func (r *remembering) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	key := fmt.Sprint(gk, versions)
	if err, known := r.missing.Load(key); known {
		return nil, err.(error)
	}
	mapping, err := r.RESTMapper.RESTMapping(gk, versions...)
	if meta.IsNoMatchError(err) {
		r.missing.Store(key, err)
	}
	return mapping, err
}

func (e *Environment) operator() client.WithWatch {
	if e.Operator != nil {
		return e.Operator
	}
	return e.Admin
}

// world makes the namespaces of one trial.
func (e *Environment) world(ctx context.Context, s *Scenario) (*World, error) {
	start := s.Start
	if start.IsZero() {
		start = time.Now().Truncate(time.Second)
	}
	w := &World{Admin: e.Admin, Clock: testclock.NewFakeClock(start)}
	for range s.namespaces() {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "reliability-"}}
		if err := e.Admin.Create(ctx, ns); err != nil {
			return w, fmt.Errorf("create namespace: %w", err)
		}
		w.Namespaces = append(w.Namespaces, ns.Name)
	}
	w.Namespace = w.Namespaces[0]
	if !s.Pods {
		return w, nil
	}
	for _, namespace := range w.Namespaces {
		key := client.ObjectKey{Namespace: namespace, Name: "default"}
		err := wait.PollUntilContextTimeout(ctx, pollEvery, patience, true, func(ctx context.Context) (bool, error) {
			return e.Admin.Get(ctx, key, &corev1.ServiceAccount{}) == nil, nil
		})
		if err != nil {
			return w, fmt.Errorf("wait for the service account of namespace %s: %w", namespace, err)
		}
	}
	return w, nil
}

// discard asks for the deletion of the namespaces and does not wait for it.
func (e *Environment) discard(ctx context.Context, w *World) error {
	if e.Keep {
		return nil
	}
	for _, name := range w.Namespaces {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := client.IgnoreNotFound(e.Admin.Delete(ctx, ns)); err != nil {
			return fmt.Errorf("delete namespace %s: %w", name, err)
		}
	}
	return nil
}
