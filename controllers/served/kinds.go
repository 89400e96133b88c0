// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package served

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
)

// Certificate is cert-manager's kind.
var Certificate = schema.GroupKind{Group: "cert-manager.io", Kind: "Certificate"}

// AirlockProfile is labguard's own kind, which the policies of the sidecar have as their parameter.
var AirlockProfile = v1alpha1.GroupVersion.WithKind("AirlockProfile").GroupKind()

// watched are the CustomResourceDefinitions that matter, by name.
var watched = map[string]schema.GroupKind{
	"certificates.cert-manager.io":                          Certificate,
	"rollouts.argoproj.io":                                  inventory.ArgoRollout.GroupKind(),
	"airlockprofiles.labguard.dev":                          AirlockProfile,
	"ciliumnetworkpolicies.cilium.io":                       {Group: "cilium.io", Kind: "CiliumNetworkPolicy"},
	"ciliumclusterwidenetworkpolicies.cilium.io":            {Group: "cilium.io", Kind: "CiliumClusterwideNetworkPolicy"},
	"networkpolicies.crd.projectcalico.org":                 {Group: "crd.projectcalico.org", Kind: "NetworkPolicy"},
	"globalnetworkpolicies.crd.projectcalico.org":           {Group: "crd.projectcalico.org", Kind: "GlobalNetworkPolicy"},
	"adminnetworkpolicies.policy.networking.k8s.io":         {Group: "policy.networking.k8s.io", Kind: "AdminNetworkPolicy"},
	"baselineadminnetworkpolicies.policy.networking.k8s.io": {Group: "policy.networking.k8s.io", Kind: "BaselineAdminNetworkPolicy"},
	"clusternetworkpolicies.policy.networking.k8s.io":       {Group: "policy.networking.k8s.io", Kind: "ClusterNetworkPolicy"},
}

// settle is how soon a definition that is not served yet is looked at again.
const settle = time.Second

// Kinds knows which optional kinds are served.
type Kinds struct {
	// Reader reads the metadata of CustomResourceDefinitions.
	Reader client.Reader
	// Mapper says whether a kind is really served by now.
	Mapper meta.RESTMapper

	lock sync.RWMutex
	// present is what is served, told what the listeners have heard of.
	present, told map[schema.GroupKind]bool
	listeners     []func(ctx context.Context, kind schema.GroupKind) error
}

// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,verbs=get;list;watch

// Serves says whether the cluster serves a kind.
func (k *Kinds) Serves(kind schema.GroupKind) bool {
	k.lock.RLock()
	defer k.lock.RUnlock()
	return k.present[kind]
}

// isEngine says whether a kind is one of network policies.
func isEngine(kind schema.GroupKind) bool {
	return kind != Certificate && kind != AirlockProfile && kind != inventory.ArgoRollout.GroupKind()
}

// PolicyEngines are the kinds of network policy, other than Kubernetes' own, that the cluster serves.
func (k *Kinds) PolicyEngines() []string {
	k.lock.RLock()
	defer k.lock.RUnlock()
	var names []string
	for kind, present := range k.present {
		if present && isEngine(kind) {
			names = append(names, kind.String())
		}
	}
	slices.Sort(names)
	return names
}

// OnChange registers a function that is called when a kind is served from now on, or not any more. It may be called again for the same.
func (k *Kinds) OnChange(listener func(ctx context.Context, kind schema.GroupKind) error) {
	k.listeners = append(k.listeners, listener)
}

// Reconcile looks at one CustomResourceDefinition.
func (k *Kinds) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	kind, matters := watched[request.Name]
	if !matters {
		return ctrl.Result{}, nil
	}
	definition := &metav1.PartialObjectMetadata{}
	definition.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	err := k.Reader.Get(ctx, request.NamespacedName, definition)
	switch {
	case apierrors.IsNotFound(err), err == nil && definition.DeletionTimestamp != nil:
		return ctrl.Result{}, k.note(ctx, kind, false)
	case err != nil:
		return ctrl.Result{}, fmt.Errorf("get the definition %s: %w", request.Name, err)
	}
	if _, err := k.Mapper.RESTMapping(kind); err != nil {
		if meta.IsNoMatchError(err) {
			return ctrl.Result{RequeueAfter: settle}, nil
		}
		return ctrl.Result{}, fmt.Errorf("look up %s: %w", kind, err)
	}
	return ctrl.Result{}, k.note(ctx, kind, true)
}

func (k *Kinds) note(ctx context.Context, kind schema.GroupKind, present bool) error {
	k.lock.Lock()
	if k.present == nil {
		k.present = map[schema.GroupKind]bool{}
	}
	if k.told == nil {
		k.told = map[schema.GroupKind]bool{}
	}
	changed := k.present[kind] != present || k.told[kind] != present
	k.present[kind], k.told[kind] = present, present
	k.lock.Unlock()
	if !changed {
		return nil
	}
	for _, listener := range k.listeners {
		if err := listener(ctx, kind); err != nil {
			k.lock.Lock()
			k.told[kind] = !present // so that the next attempt tells everybody again
			k.lock.Unlock()
			return err
		}
	}
	return nil
}

// learn asks once which kinds are served, before anybody decides: until the first definitions have been looked at, a starting process would else
// take rollouts out of the gate and report that cert-manager is missing.
func (k *Kinds) learn() error {
	present := map[schema.GroupKind]bool{}
	for _, kind := range watched {
		_, err := k.Mapper.RESTMapping(kind)
		if err != nil && !meta.IsNoMatchError(err) {
			return fmt.Errorf("look up %s: %w", kind, err)
		}
		present[kind] = err == nil
	}
	k.lock.Lock()
	defer k.lock.Unlock()
	k.present = present
	return nil
}

// SetupWithManager asks what is served now, and watches the names of CustomResourceDefinitions.
func (k *Kinds) SetupWithManager(manager ctrl.Manager) error {
	if err := k.learn(); err != nil {
		return err
	}
	definition := &metav1.PartialObjectMetadata{}
	definition.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	matters := predicate.NewPredicateFuncs(func(object client.Object) bool {
		_, matters := watched[object.GetName()]
		return matters
	})
	return ctrl.NewControllerManagedBy(manager).Named("served").
		For(definition, builder.OnlyMetadata, builder.WithPredicates(matters)).Complete(k)
}

// ByMapper answers from a REST mapper alone, for programs that watch nothing.
type ByMapper struct {
	Mapper meta.RESTMapper
}

// Serves says whether the cluster serves a kind.
func (b ByMapper) Serves(kind schema.GroupKind) bool {
	_, err := b.Mapper.RESTMapping(kind)
	return err == nil
}

// PolicyEngines are the kinds of network policy, other than Kubernetes' own, that the cluster serves.
func (b ByMapper) PolicyEngines() []string {
	var names []string
	for _, kind := range watched {
		if isEngine(kind) && b.Serves(kind) {
			names = append(names, kind.String())
		}
	}
	slices.Sort(names)
	return names
}
