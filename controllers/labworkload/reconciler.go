// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/outcome"
	"github.com/labguard/labguard/internal/posture"
)

// Facts knows images. Lookup answers at once from memory and lets what is missing be fetched; NextLook is when asking again may give another answer.
type Facts interface {
	Lookup(query posture.ImageQuery) (posture.ImageFacts, bool)
	NextLook(query posture.ImageQuery) time.Time
}

// FactsByConfiguration is what Facts may know beyond that: the image whose configuration has a digest. Nodes report that digest for images that were
// loaded by hand. It answers at once from memory.
type FactsByConfiguration interface {
	OfConfig(configDigest string) (posture.ImageFacts, bool)
}

// Served says which optional kinds the cluster serves.
type Served interface {
	inventory.Served
	PolicyEngines() []string
}

// Issuer is a cert-manager issuer that the platform team lists.
type Issuer struct {
	Kind            v1alpha1.IssuerKind
	Namespace, Name string
}

// Platform is what the platform team says about the cluster.
type Platform struct {
	TrustDomain, ClusterDomain string
	// DNSNamespace and DNSService name the cluster's DNS Service; NodeLocalDNS are address blocks of a DNS cache on the nodes.
	DNSNamespace, DNSService string
	NodeLocalDNS             []string
}

// Reconciler keeps one LabWorkload.
type Reconciler struct {
	client.Client
	// Live reads single objects from the API server that no cache holds.
	Live     client.Reader
	Facts    Facts
	Served   Served
	Clock    clock.WithTicker
	Random   func() float64
	Recorder events.EventRecorder
	// Excluded are namespaces in which the gate never stands.
	Excluded []string
	Issuers  []Issuer
	Platform Platform
	Sidecars Sidecars
	// Airlocks asks sidecars; nil: nobody does, and nothing is shown.
	Airlocks Airlocks
	People   People

	began      beginning
	trained    trained
	waiting    references
	nodes      nodePlatforms
	tally      tally
	conditions conditionTally
	wishes     wishes
}

// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads,verbs=get;list;watch
// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads/status,verbs=patch
// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads/finalizers,verbs=update
// +kubebuilder:rbac:groups=labguard.dev,resources=rolloutrecords,verbs=get;list;watch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=ingresses,verbs=get;list;watch
// +kubebuilder:rbac:groups=labguard.dev,resources=airlockprofiles,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services,verbs=create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=patch
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificates,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificates/status,verbs=patch
// +kubebuilder:rbac:groups=cert-manager.io,resources=certificaterequests,verbs=get
// +kubebuilder:rbac:groups="",resources=namespaces;nodes;pods;services;replicationcontrollers,verbs=get;list;watch
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets;replicasets,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=get;list;watch
// +kubebuilder:rbac:groups=argoproj.io,resources=rollouts,verbs=get;list;watch

// Reconcile gathers, decides, writes children and reports, in this order; the status is written once, also after an error.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	if request == heartbeat {
		metrics.EvaluationTimestamp.WithLabelValues().Set(seconds(r.Clock.Now()))
		return ctrl.Result{}, nil
	}
	workload := &v1alpha1.LabWorkload{}
	if err := r.Get(ctx, request.NamespacedName, workload); err != nil {
		if client.IgnoreNotFound(err) == nil {
			r.waiting.forget(request.NamespacedName)
			r.tally.forget(request.NamespacedName)
			r.conditions.set(request.NamespacedName, nil)
			r.watchAirlocks(request.NamespacedName, nil)
		}
		return outcome.Result(client.IgnoreNotFound(err), time.Time{}, r.Clock.Now(), r.Random)
	}
	if workload.DeletionTimestamp != nil {
		r.tally.forget(request.NamespacedName)
		r.conditions.set(request.NamespacedName, nil)
		return ctrl.Result{}, nil
	}
	s, err := r.gather(ctx, workload)
	if err != nil {
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	decided, intent := r.decide(s)
	r.watchAirlocks(request.NamespacedName, r.targets(s))
	if !workload.Spec.Suspend {
		err = r.write(ctx, s, intent)
	}
	status := computeStatus(s, decided, err)
	r.tally.set(request.NamespacedName, decided.images, status.NextChangeAt)
	r.conditions.set(request.NamespacedName, status.Conditions)
	err = errors.Join(err, r.report(ctx, workload, status))
	result, err := outcome.Result(err, r.nextLook(s, status), r.Clock.Now(), r.Random)
	if err != nil {
		return result, err
	}
	result = sooner(result, s.enforcement.NextChange, r.Clock.Now())
	return sooner(result, s.sidecarLook(), r.Clock.Now()), nil
}

// sooner looks again at the instant at which enforcement begins: reports are spread over a minute, what is in force is not.
func sooner(result ctrl.Result, at, now time.Time) ctrl.Result {
	if at.IsZero() {
		return result
	}
	if in := max(at.Sub(now), time.Millisecond); result.RequeueAfter == 0 || in < result.RequeueAfter {
		result.RequeueAfter = in
	}
	return result
}

// report writes the status if it changed, and announces conditions that did.
func (r *Reconciler) report(ctx context.Context, workload *v1alpha1.LabWorkload, status *v1alpha1.LabWorkloadStatus) error {
	if equality.Semantic.DeepEqual(&workload.Status, status) {
		return nil
	}
	configuration, err := statusConfiguration(workload, status)
	if err != nil {
		return err
	}
	err = r.Status().Apply(ctx, configuration, client.FieldOwner(v1alpha1.FieldManager), client.ForceOwnership)
	switch {
	case apierrors.IsNotFound(err):
		return nil // it is gone, and so is everything that there was to say of it
	case err != nil:
		return fmt.Errorf("write the status of LabWorkload %s/%s: %w", workload.Namespace, workload.Name, err)
	}
	r.announce(workload, status)
	return nil
}

// lookForFresherAfter is how long after a look at the tag of an image that is stale, too young or soon stale the next one comes at the earliest. A
// fresher build mends no answer by itself, so there is no hurry.
const lookForFresherAfter = 10 * time.Minute

// nextLook is when time changes a verdict, or when an image of unknown age or the tag of one that needs a fresher build is to be asked for again.
func (r *Reconciler) nextLook(s *scope, status *v1alpha1.LabWorkloadStatus) time.Time {
	var next time.Time
	if status.NextChangeAt != nil {
		next = status.NextChangeAt.Time
	}
	for _, query := range s.unknown {
		next = posture.Earliest(next, r.Facts.NextLook(query))
	}
	if s.seeksFresher {
		next = posture.Earliest(next, s.now.Add(lookForFresherAfter))
	}
	return next
}
