// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
)

const (
	// lookEvery is how often it is looked whether a root may leave and whether a renewal is late: time alone changes that.
	lookEvery = 2 * time.Minute
	// lookSoon is how soon while a root is leaving.
	lookSoon = 30 * time.Second
)

// bundleKind is the kind of bundles that no tenant can write.
var bundleKind = schema.GroupKind{Group: "certificates.k8s.io", Kind: "ClusterTrustBundle"}

// Reports is what airlocks have said last, by pod.
type Reports interface {
	Everything() map[types.UID]posture.AirlockFacts
}

// Served says which optional kinds the cluster serves.
type Served interface {
	Serves(kind schema.GroupKind) bool
}

// Reconciler keeps all bundles. There is one of it, so every request means the same.
type Reconciler struct {
	client.Client
	// Live reads from the API server what no cache has.
	Live     client.Reader
	Mapper   meta.RESTMapper
	Reports  Reports
	Served   Served
	Clock    clock.PassiveClock
	Random   func() float64
	Recorder events.EventRecorder
	// Namespace is labguard's own.
	Namespace string
	// TrustDomain is the cluster's own, Sources are all trust domains and external authorities of the configuration.
	TrustDomain string
	Sources     []posture.TrustSource
	// ClusterIssuer is who issues labguard's own certificate; "": nobody, and no airlock can be asked.
	ClusterIssuer string

	lock  sync.RWMutex
	roots string
	// leaves are the chains of certificates that were read, while a root is leaving.
	leaves map[types.UID]readLeaf
	// complained is what was said last about an object of somebody else.
	complained string
}

// +kubebuilder:rbac:groups=certificates.k8s.io,resources=clustertrustbundles,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=labguard.dev,resources=airlockprofiles,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificates,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificates/status,verbs=patch
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificaterequests,verbs=get

// Reconcile gathers, decides and writes. labguard's own certificate and the bundles do not wait for each other.
func (r *Reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	now := r.Clock.Now()
	err := r.keepIdentity(ctx)
	s, gathered := r.gather(ctx, now)
	next := now.Add(lookEvery)
	if gathered == nil {
		r.decide(s)
		r.measure(s)
		var again time.Time
		again, gathered = r.write(ctx, s)
		next = posture.Earliest(next, again)
	}
	err = errors.Join(err, gathered)
	r.complain(ctx, err)
	result, err := outcome.Result(err, time.Time{}, now, r.Random)
	if err != nil {
		return result, err
	}
	// Without the usual spread: there is one request, and what waits for it is a person who changes a root.
	if in := max(next.Sub(now), time.Millisecond); result.RequeueAfter == 0 || in < result.RequeueAfter {
		result.RequeueAfter = in
	}
	return result, nil
}

// complain says once that an object of somebody else is where labguard's is to be: pods would mount it.
func (r *Reconciler) complain(ctx context.Context, err error) {
	var taken *apply.NotOursError
	if !errors.As(err, &taken) {
		r.complained = ""
		return
	}
	if r.complained == taken.Error() {
		return
	}
	r.complained = taken.Error()
	log.FromContext(ctx).Info("an object of somebody else has the name of one of labguard's", "object", taken.Object)
	record := &corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: r.Namespace, Name: v1alpha1.TrustConfigMap}
	r.Recorder.Eventf(record, nil, corev1.EventTypeWarning, v1alpha1.ReasonNameTaken, "Publish", "%s", taken.Error())
}

// write brings everything up to date that follows from the decisions, and says when to look again.
func (r *Reconciler) write(ctx context.Context, s *scope) (time.Time, error) {
	err := r.writeRecord(ctx, s)
	if err != nil {
		return time.Time{}, err // what is published must be on record first
	}
	r.remember(s)
	again, reissued := r.reissue(ctx, s)
	return again, errors.Join(r.writeBundles(ctx, s), r.writeConfigMaps(ctx, s), reissued)
}

// Roots is the PEM text of the roots that vouch for the cluster's own trust domain now, with those that are leaving.
func (r *Reconciler) Roots() string {
	r.lock.RLock()
	defer r.lock.RUnlock()
	if r.roots != "" {
		return r.roots
	}
	for _, source := range r.Sources {
		if source.Kind == posture.OwnTrust {
			return posture.JoinRoots(source.Roots)
		}
	}
	return ""
}

func (r *Reconciler) remember(s *scope) {
	for _, one := range s.bundles {
		if one.source.Kind == posture.OwnTrust && !one.source.Gone {
			r.lock.Lock()
			r.roots = posture.JoinRoots(one.decision.Publish)
			r.lock.Unlock()
		}
	}
}
