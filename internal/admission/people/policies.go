// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/logins"
)

// maxPolicies bounds the memory: so many namespaces are kept, and then all are arranged anew when they are asked for.
const maxPolicies = 2000

var errNotSynced = errors.New("the caches are not filled yet")

// view is what is asked of people in one namespace. Nobody changes it.
type view struct {
	policy  *access.Policy
	sources []identity.Source
	// provable are the providers by issuer, without those that name the same one.
	provable map[string]access.Provider
	// asks says that something is asked of people in the namespace.
	asks bool
	// until is when time alone changes it; zero if it does not.
	until time.Time
}

// proves says whether a person has come with everything that the provider of the issuer proves.
func (v *view) proves(person *access.Person) bool {
	known, found := v.provable[person.Issuer]
	return found && person.Kind == access.KindPerson && person.Issuer != "" &&
		(!known.ProvesMethods || len(person.Methods) > 0) && (!known.ProvesContext || person.Context != "") && (!known.ProvesAuthTime || !person.AuthTime.IsZero())
}

// policies keeps, for each namespace with requests, what is asked of people there, arranged once for each change and not once for each request. Until watch has
// been called it keeps nothing, since it would not learn of changes.
type policies struct {
	reader client.Reader
	config Config
	// synced are the informers, each asked whether all of its objects were seen.
	synced []toolscache.ResourceEventHandlerRegistration

	lock    sync.Mutex
	watched bool
	kept    map[string]*keeping
}

// keeping is the place of one view; the view is nil while it is being arranged. A change takes the place away, so that what was read before the change
// finds it no more.
type keeping struct{ view *view }

func newPolicies(reader client.Reader, config Config) *policies {
	if config.User != "" {
		config.Machines = append(slices.Clone(config.Machines), access.Machine{User: config.User})
	}
	return &policies{reader: reader, config: config, kept: map[string]*keeping{}}
}

// watch learns of changes. An informer puts a change into its store before it tells anybody, so a view that was read before a change is always
// dropped after it; between the two lie microseconds.
func (p *policies) watch(ctx context.Context, informers cache.Informers) error {
	for _, kind := range []client.Object{&v1alpha1.LabWorkload{}, &v1alpha1.IdentityProvider{}} {
		informer, err := informers.GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("watch %T for the webhooks about people: %w", kind, err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc: p.forget, UpdateFunc: p.changed, DeleteFunc: p.forget,
		})
		if err != nil {
			return fmt.Errorf("watch %T for the webhooks about people: %w", kind, err)
		}
		p.synced = append(p.synced, registration)
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.watched = true
	return nil
}

// changed leaves out writes of a status, which are many. What has the same name and generation may still be another object.
func (p *policies) changed(before, after any) {
	old, fine := before.(client.Object)
	object, too := after.(client.Object)
	if fine && too && old.GetGeneration() == object.GetGeneration() && old.GetUID() == object.GetUID() {
		return
	}
	p.forget(after)
}

// forget drops the view of the namespace of an object, or all where it has none. Of a deleted object there may be only the key.
func (p *policies) forget(object any) {
	key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object)
	namespace, _, namespaced := strings.Cut(key, "/")
	p.lock.Lock()
	defer p.lock.Unlock()
	if err != nil || !namespaced {
		clear(p.kept)
		return
	}
	delete(p.kept, namespace)
}

func (p *policies) of(ctx context.Context, namespace string, now time.Time) (*view, error) {
	if slices.ContainsFunc(p.synced, func(each toolscache.ResourceEventHandlerRegistration) bool { return !each.HasSynced() }) {
		return nil, errNotSynced
	}
	ready, place := p.find(namespace, now)
	if ready != nil {
		return ready, nil
	}
	arranged, err := p.read(ctx, namespace, now)
	if err != nil {
		return nil, err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	place.view = arranged // found by nobody, if something has changed meanwhile or another request arranges the namespace too
	return arranged, nil
}

// find gives the view that is kept, or a place for one.
func (p *policies) find(namespace string, now time.Time) (ready *view, place *keeping) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if known := p.kept[namespace]; known != nil && known.view != nil && (known.view.until.IsZero() || now.Before(known.view.until)) {
		return known.view, nil
	}
	place = &keeping{}
	if !p.watched {
		return nil, place
	}
	if len(p.kept) >= maxPolicies {
		clear(p.kept)
	}
	p.kept[namespace] = place
	return nil, place
}

func (p *policies) read(ctx context.Context, namespace string, now time.Time) (*view, error) {
	var workloads v1alpha1.LabWorkloadList
	if namespace != "" { // what has no namespace is nothing of a LabWorkload's
		if err := p.reader.List(ctx, &workloads, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("list LabWorkloads of namespace %s: %w", namespace, err)
		}
	}
	var providers v1alpha1.IdentityProviderList
	if err := p.reader.List(ctx, &providers, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list identity providers: %w", err)
	}
	return p.arrange(namespace, workloads.Items, providers.Items, now), nil
}

func (p *policies) arrange(namespace string, workloads []v1alpha1.LabWorkload, known []v1alpha1.IdentityProvider, now time.Time) *view {
	arranged := &view{provable: map[string]access.Provider{}}
	settings := access.Settings{BreakGlassGroup: p.config.BreakGlassGroup, Machines: p.config.Machines, Tokens: p.config.Tokens}
	times := map[string]int{}
	for i := range known {
		one := logins.Provider(&known[i].Spec)
		settings.Providers, arranged.sources = append(settings.Providers, one), append(arranged.sources, source(&known[i].Spec))
		arranged.provable[one.Issuer] = one
		times[one.Issuer]++
	}
	for issuer, often := range times {
		if often > 1 {
			delete(arranged.provable, issuer)
		}
	}
	asked, until := requirements(workloads, now)
	settings.Requirements = map[string][]access.Requirement{namespace: asked}
	arranged.policy, arranged.asks, arranged.until = access.Arrange(settings), len(asked) > 0, until
	return arranged
}
