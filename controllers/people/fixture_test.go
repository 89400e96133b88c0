// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/api/v1alpha1"
)

const issuer = "https://login.lab.example"

// noon is in the middle of an hour, so that what is noted to the hour differs from it.
var noon = time.Date(2026, time.November, 26, 12, 30, 0, 0, time.UTC)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// api is a client of objects in memory that counts and can refuse writes.
type api struct {
	client.WithWatch

	lock   sync.Mutex
	writes []string
	// refuse is what the next writes are answered with, one each.
	refuse []error
}

func (a *api) written() []string {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.writes
}

func (a *api) write(what string) error {
	a.lock.Lock()
	defer a.lock.Unlock()
	if len(a.refuse) > 0 {
		err := a.refuse[0]
		a.refuse = a.refuse[1:]
		if err != nil {
			return err
		}
	}
	a.writes = append(a.writes, what)
	return nil
}

func apiWith(t *testing.T, objects ...client.Object) *api {
	t.Helper()
	a := &api{}
	a.WithWatch = fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.IdentityProvider{}, &v1alpha1.LabWorkload{}).WithReturnManagedFields().
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
				if err := a.write("create " + object.GetName()); err != nil {
					return err
				}
				return c.Create(ctx, object, options...)
			},
			Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
				if err := a.write("update " + object.GetName()); err != nil {
					return err
				}
				return c.Update(ctx, object, options...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
				if err := a.write("delete " + object.GetName()); err != nil {
					return err
				}
				return c.Delete(ctx, object, options...)
			},
			SubResourceApply: func(ctx context.Context, c client.Client, name string, intent runtime.ApplyConfiguration, options ...client.SubResourceApplyOption) error {
				if err := a.write("apply " + name); err != nil {
					return err
				}
				return c.SubResource(name).Apply(ctx, intent, options...)
			},
		}).Build()
	return a
}

func provider(name, of string, change ...func(*v1alpha1.IdentityProvider)) *v1alpha1.IdentityProvider {
	p := &v1alpha1.IdentityProvider{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
		Spec:       v1alpha1.IdentityProviderSpec{Issuer: of, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods}},
	}
	for _, each := range change {
		each(p)
	}
	return p
}

// seenAt is that claims were seen to arrive so long before noon.
func seenAt(before time.Duration) func(*v1alpha1.IdentityProvider) {
	return func(p *v1alpha1.IdentityProvider) {
		at := metav1.NewTime(noon.Add(-before))
		p.Status.ClaimsSeenAt = &at
	}
}

// told are the events that were sent.
type told struct {
	lock   sync.Mutex
	events []string
}

func (o *told) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.events = append(o.events, kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

func (o *told) all() []string {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.events
}

func noJitter() float64 { return 0 }
