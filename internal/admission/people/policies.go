// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/logins"
)

const (
	// maxPolicies bounds the memory: so many namespaces are kept, and then all are arranged anew when they are asked for.
	maxPolicies = 2000
	// maxChanged is how many changed LabWorkloads are read one by one; with more the namespace is arranged anew.
	maxChanged = 100
)

var errNotSynced = errors.New("the caches are not filled yet")

// view is what is asked of people in one namespace. Nobody changes it.
type view struct {
	policy  *access.Policy
	sources []identity.Source
	// provable are the providers by issuer, without those that name the same one.
	provable map[string]provable
	// ends are the LabWorkloads that time alone changes, and when; until is the first of these instants, zero if there is none.
	ends  map[string]time.Time
	until time.Time
}

// provable is a provider, with the generation of the object that says what it proves.
type provable struct {
	access.Provider
	generation int64
}

// proves says whether a person has come with everything that the provider of the issuer proves, and of which generation of it that was learned.
func (v *view) proves(person *access.Person) (generation int64, proven bool) {
	known, found := v.provable[person.Issuer]
	return known.generation, found && person.Kind == access.KindPerson && person.Issuer != "" &&
		(!known.ProvesMethods || len(person.Methods) > 0) && (!known.ProvesContext || person.Context != "") && (!known.ProvesAuthTime || !person.AuthTime.IsZero())
}

// ended names the LabWorkloads that time has changed, none of which has changed otherwise.
func (v *view) ended(now time.Time) map[string]int {
	names := map[string]int{}
	if v.until.IsZero() || now.Before(v.until) {
		return names
	}
	for name, end := range v.ends {
		if !now.Before(end) {
			names[name] = 0
		}
	}
	return names
}

// with is the view after some LabWorkloads have changed: what those of them ask for that are still there takes the place of what was known.
func (v *view) with(namespace string, changed []string, workloads []v1alpha1.LabWorkload, now time.Time) *view {
	other := *v
	other.ends, other.until = map[string]time.Time{}, time.Time{}
	maps.Copy(other.ends, v.ends)
	asked := make(map[string][]access.Requirement, len(workloads))
	for _, name := range changed {
		asked[name] = nil
		delete(other.ends, name)
	}
	for i := range workloads {
		requirements, until := requirementsOf(&workloads[i], now)
		asked[workloads[i].Name] = requirements
		if !until.IsZero() {
			other.ends[workloads[i].Name] = until
		}
	}
	for _, end := range other.ends {
		other.until = posture.Earliest(other.until, end)
	}
	other.policy = v.policy.With(namespace, asked)
	return &other
}

// policies keeps, for each namespace with requests, what is asked of people there, arranged once and not for each request. The first request after a
// change reads the LabWorkload that has changed, and no other. Until watch has been called nothing is kept, since no change would be learned of.
type policies struct {
	reader client.Reader
	config Config
	// synced are the informers, each asked whether all of its objects were seen.
	synced []toolscache.ResourceEventHandlerRegistration

	lock    sync.Mutex
	watched bool
	kept    map[string]*keeping
}

// keeping is the place of one namespace. A change of a provider takes the place away, so that what was read before finds it no more.
type keeping struct {
	// view is nil until the namespace was read for the first time.
	view *view
	// changed are the LabWorkloads of which the view may know too little, and how often they have changed since it was read.
	changed map[string]int
}

func newPolicies(reader client.Reader, config Config) *policies {
	if config.User != "" {
		config.Machines = append(slices.Clone(config.Machines), access.Machine{User: config.User})
	}
	return &policies{reader: reader, config: config, kept: map[string]*keeping{}}
}

// watch learns of changes. An informer puts a change into its store before it tells anybody, so what was read before a change is always read again after
// it; between the two lie microseconds.
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

// shown says of an IdentityProvider whether claims of it were seen to arrive, which is all that counts of its status.
func shown(object client.Object) bool {
	provider, is := object.(*v1alpha1.IdentityProvider)
	return is && provider.Status.ClaimsSeenAt != nil
}

// changed leaves out writes of a status, which are many. What has the same name and generation may still be another object.
func (p *policies) changed(before, after any) {
	old, fine := before.(client.Object)
	object, too := after.(client.Object)
	if fine && too && shown(old) == shown(object) && old.GetGeneration() == object.GetGeneration() && old.GetUID() == object.GetUID() {
		return
	}
	p.forget(after)
}

// forget notes that an object has changed, so that it is read again; of a deleted one there may be only the key. Where it has no namespace all are dropped.
func (p *policies) forget(object any) {
	key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object)
	namespace, name, namespaced := strings.Cut(key, "/")
	p.lock.Lock()
	defer p.lock.Unlock()
	if err != nil || !namespaced {
		clear(p.kept)
		return
	}
	if place := p.kept[namespace]; place != nil {
		place.changed[name]++
		if len(place.changed) > maxChanged {
			delete(p.kept, namespace)
		}
	}
}

func (p *policies) of(ctx context.Context, namespace string, now time.Time) (*view, error) {
	if slices.ContainsFunc(p.synced, func(each toolscache.ResourceEventHandlerRegistration) bool { return !each.HasSynced() }) {
		return nil, errNotSynced
	}
	place, known, changed := p.find(namespace, now)
	if known != nil && len(changed) == 0 {
		return known, nil
	}
	arranged, err := p.read(ctx, namespace, known, changed, now)
	if err != nil {
		return nil, err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if place.view == known { // else another request has been faster
		place.view = arranged
		maps.DeleteFunc(place.changed, func(name string, times int) bool { return times == changed[name] })
	}
	return arranged, nil
}

// find gives the place of a namespace, with its view, if there is one, and the LabWorkloads that events or time have changed since.
func (p *policies) find(namespace string, now time.Time) (place *keeping, known *view, changed map[string]int) {
	p.lock.Lock()
	defer p.lock.Unlock()
	place = p.kept[namespace]
	if place == nil {
		place = &keeping{changed: map[string]int{}}
		if len(p.kept) >= maxPolicies {
			clear(p.kept)
		}
		if p.watched {
			p.kept[namespace] = place
		}
	}
	if place.view == nil {
		return place, nil, maps.Clone(place.changed)
	}
	changed = place.view.ended(now)
	maps.Copy(changed, place.changed)
	return place, place.view, changed
}

// read reads a namespace: all of it, or, where there is a view, what has changed since.
func (p *policies) read(ctx context.Context, namespace string, known *view, changed map[string]int, now time.Time) (*view, error) {
	if known != nil {
		workloads := make([]v1alpha1.LabWorkload, 0, len(changed))
		for name := range changed {
			var workload v1alpha1.LabWorkload
			err := p.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &workload, client.UnsafeDisableDeepCopy)
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read LabWorkload %s/%s: %w", namespace, name, err)
			}
			workloads = append(workloads, workload)
		}
		return known.with(namespace, slices.Collect(maps.Keys(changed)), workloads, now), nil
	}
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
	return p.arrange(providers.Items).with(namespace, nil, workloads.Items, now), nil
}

// arrange is the view of a namespace without LabWorkloads.
func (p *policies) arrange(known []v1alpha1.IdentityProvider) *view {
	arranged := &view{provable: map[string]provable{}}
	settings := access.Settings{BreakGlassGroup: p.config.BreakGlassGroup, Machines: p.config.Machines, Tokens: p.config.Tokens}
	times := map[string]int{}
	for i := range known {
		one := logins.Provider(&known[i].Spec)
		one.Shown = known[i].Status.ClaimsSeenAt != nil
		settings.Providers, arranged.sources = append(settings.Providers, one), append(arranged.sources, source(&known[i].Spec))
		arranged.provable[one.Issuer] = provable{one, known[i].Generation}
		times[one.Issuer]++
	}
	for issuer, often := range times {
		if often > 1 {
			delete(arranged.provable, issuer)
		}
	}
	arranged.policy = access.Arrange(settings)
	return arranged
}
