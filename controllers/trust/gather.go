// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
)

// scope is one look at everything that decides.
type scope struct {
	now time.Time
	// serves says whether the cluster serves ClusterTrustBundles.
	serves bool
	record *corev1.ConfigMap
	// live are the ClusterTrustBundles of labguard by name, maps its ConfigMaps of bundles by namespace.
	live map[string]*certificatesv1.ClusterTrustBundle
	maps map[string]*corev1.ConfigMap
	// governed are the namespaces that have sidecars.
	governed     map[string]bool
	pods         []corev1.Pod
	facts        map[types.UID]posture.AirlockFacts
	certificates []certmanagerv1.Certificate

	bundles []bundle
	// chains are the leaves that were read since a root of ours is leaving.
	chains []chain
}

// bundle is the roots of one trust domain or authority, and what is decided about them.
type bundle struct {
	name      string
	source    posture.TrustSource
	published []posture.Root
	decision  posture.RootDecision
}

var ours = client.MatchingLabels{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}

func (r *Reconciler) gather(ctx context.Context, now time.Time) (*scope, error) {
	s := &scope{now: now, live: map[string]*certificatesv1.ClusterTrustBundle{}, maps: map[string]*corev1.ConfigMap{}, governed: map[string]bool{}}
	if err := r.gatherBundles(ctx, s); err != nil {
		return nil, err
	}
	if err := r.gatherUsers(ctx, s); err != nil {
		return nil, err
	}
	s.bundles = r.sources(ctx, s)
	if s.ownLeaving() {
		if err := r.gatherChains(ctx, s); err != nil {
			return nil, err
		}
	} else {
		r.leaves = nil
	}
	return s, nil
}

func (r *Reconciler) gatherBundles(ctx context.Context, s *scope) error {
	var configMaps corev1.ConfigMapList
	if err := r.List(ctx, &configMaps, ours); err != nil {
		return fmt.Errorf("list the ConfigMaps of bundles: %w", err)
	}
	for i := range configMaps.Items {
		if one := &configMaps.Items[i]; one.Name == v1alpha1.TrustConfigMap {
			s.maps[one.Namespace] = one
		}
	}
	s.record = s.maps[r.Namespace]
	delete(s.maps, r.Namespace)
	switch _, err := r.Mapper.RESTMapping(bundleKind, certificatesv1.SchemeGroupVersion.Version); {
	case err == nil:
		s.serves = true
	case !meta.IsNoMatchError(err):
		return fmt.Errorf("look up %s: %w", bundleKind, err)
	default:
		return nil
	}
	var live certificatesv1.ClusterTrustBundleList
	if err := r.List(ctx, &live, ours); err != nil {
		return fmt.Errorf("list the bundles: %w", err)
	}
	for i := range live.Items {
		s.live[live.Items[i].Name] = &live.Items[i]
	}
	return nil
}

func (r *Reconciler) gatherUsers(ctx context.Context, s *scope) error {
	var profiles v1alpha1.AirlockProfileList
	if err := r.List(ctx, &profiles, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the profiles: %w", err)
	}
	for i := range profiles.Items {
		s.governed[profiles.Items[i].Namespace] = true
	}
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.HasLabels{v1alpha1.WorkloadLabel}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the pods with airlock: %w", err)
	}
	for i := range pods.Items {
		if phase := pods.Items[i].Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
			s.pods = append(s.pods, pods.Items[i])
		}
	}
	s.facts = r.Reports.Everything()
	if !r.Served.Serves(served.Certificate) {
		return nil
	}
	var certificates certmanagerv1.CertificateList
	if err := r.List(ctx, &certificates, ours); err != nil {
		return fmt.Errorf("list the certificates: %w", err)
	}
	s.certificates = certificates.Items
	return nil
}

// sources are the bundles of the configuration, and those on record that it has no more.
func (r *Reconciler) sources(ctx context.Context, s *scope) []bundle {
	recorded := s.recorded()
	var bundles []bundle
	add := func(name string, source posture.TrustSource) {
		bundles = append(bundles, bundle{name: name, source: source, published: s.published(ctx, name, recorded[name])})
		delete(recorded, name)
	}
	for _, source := range r.Sources {
		name := desired.TrustBundle(source.Name)
		if source.Kind == posture.ExternalTrust {
			name = desired.AuthorityBundle(source.Name)
		}
		add(name, source)
	}
	for _, name := range slices.Sorted(maps.Keys(recorded)) {
		if domain, isDomain := strings.CutPrefix(name, v1alpha1.TrustBundlePrefix); isDomain {
			add(name, posture.TrustSource{Kind: posture.FederatedTrust, Name: domain, Gone: true})
		} else if authority, isAuthority := strings.CutPrefix(name, v1alpha1.AuthorityBundlePrefix); isAuthority {
			add(name, posture.TrustSource{Kind: posture.ExternalTrust, Name: authority, Gone: true})
		}
	}
	return bundles
}

// recorded are the bundles on record. A record that was lost is made anew from ClusterTrustBundles, which no tenant can write either.
func (s *scope) recorded() map[string]string {
	if s.record != nil {
		return maps.Clone(s.record.Data)
	}
	recorded := map[string]string{}
	for name, live := range s.live {
		recorded[name] = live.Spec.TrustBundle
	}
	return recorded
}

// published are the roots on record. A record that somebody has spoilt is as good as lost.
func (s *scope) published(ctx context.Context, name, recorded string) []posture.Root {
	roots, err := posture.ParseRoots(recorded, posture.MaxPublished)
	if err == nil {
		return roots
	}
	log.FromContext(ctx).Error(err, "the record of a bundle cannot be read", "bundle", name)
	if live := s.live[name]; live != nil {
		if roots, err = posture.ParseRoots(live.Spec.TrustBundle, posture.MaxPublished); err == nil {
			return roots
		}
	}
	return nil
}

// ownLeaving says whether a root of the cluster's own trust domain is on record and not in the configuration.
func (s *scope) ownLeaving() bool {
	return slices.ContainsFunc(s.bundles, func(one bundle) bool {
		return one.source.Kind == posture.OwnTrust && len(posture.DecideRoots(s.now, withoutRemovals(one.source), one.published, nil).Left) > 0
	})
}

func withoutRemovals(source posture.TrustSource) posture.TrustSource {
	source.Remove = nil
	return source
}

// decide says for each bundle which roots it has.
func (r *Reconciler) decide(s *scope) {
	users := s.users()
	for i := range s.bundles {
		s.bundles[i].decision = posture.DecideRoots(s.now, s.bundles[i].source, s.bundles[i].published, users)
	}
}

// users are all pods with airlock, and the certificates whose leaf was read.
func (s *scope) users() []posture.RootUser {
	users := make([]posture.RootUser, 0, len(s.pods)+len(s.chains))
	for i := range s.pods {
		pod := &s.pods[i]
		facts := s.facts[pod.UID]
		users = append(users, posture.RootUser{
			Name: "pod " + pod.Namespace + "/" + pod.Name, AnsweredAt: facts.ReportedAt, Roots: posture.RootsInUse(facts),
		})
	}
	for _, one := range s.chains {
		users = append(users, one.user())
	}
	return users
}
