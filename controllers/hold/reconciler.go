// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
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
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

// Facts knows images. Lookup answers at once from memory and lets what is missing be fetched; NextLook is when asking again may give another answer.
type Facts interface {
	Lookup(query posture.ImageQuery) (posture.ImageFacts, bool)
	NextLook(query posture.ImageQuery) time.Time
}

// Reconciler looks after the held rollouts of one namespace.
type Reconciler struct {
	client.Client
	// Live reads single objects from the API server: the whole spec of what is released, of which no cache has all.
	Live     client.Reader
	Served   inventory.Served
	Facts    Facts
	Clock    clock.PassiveClock
	Random   func() float64
	Recorder events.EventRecorder
	// Platform is what the nodes of the cluster have in common. Nil: nothing is known of it.
	Platform func() posture.Platform
	// Airlock is the image of the sidecar that labguard adds to pods, for which no pod is held; empty: it adds none.
	Airlock string

	waiting waiting
}

// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads;rolloutrecords,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces;replicationcontrollers,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=get;list;watch
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// scope is what one reconcile has gathered about its namespace.
type scope struct {
	namespace *corev1.Namespace
	found     *inventory.Namespace
	records   []v1alpha1.RolloutRecord
	arranged  *rollout.Namespace
	platform  posture.Platform
	now       time.Time
	// asked are the references whose facts decide about what is held.
	asked []string
}

// Reconcile looks at one namespace: the name of the request.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	s, err := r.gather(ctx, request.Name)
	if err != nil || s == nil {
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	var failed []error
	var next time.Time
	for _, root := range s.found.Held() {
		again, err := r.look(ctx, s, root)
		next = posture.Earliest(next, again)
		failed = append(failed, err)
	}
	failed = append(failed, r.renew(ctx, s))
	r.waiting.set(request.Name, s.asked)
	if err := errors.Join(failed...); err != nil {
		return outcome.Result(err, time.Time{}, r.Clock.Now(), r.Random)
	}
	if next.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(r.Clock.Now()), time.Millisecond)}, nil // a release is exact, only reports are spread
}

// gather reads everything once. It is nil where the namespace is gone or on its way out, or holds nothing.
func (r *Reconciler) gather(ctx context.Context, name string) (*scope, error) {
	s := &scope{namespace: &corev1.Namespace{}, now: r.Clock.Now()}
	err := r.Get(ctx, client.ObjectKey{Name: name}, s.namespace)
	switch {
	case apierrors.IsNotFound(err), err == nil && s.namespace.DeletionTimestamp != nil:
		r.forget(name)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get namespace %s: %w", name, err)
	}
	if s.found, err = inventory.List(ctx, r.Client, r.Served, name); err != nil {
		return nil, err
	}
	s.found.LeaveOutAirlock(r.Airlock)
	held := len(s.found.Held())
	if held == 0 && len(s.outdated()) == 0 {
		r.forget(name)
		return nil, nil
	}
	metrics.HeldRollouts.WithLabelValues(name).Set(float64(held))
	var workloads v1alpha1.LabWorkloadList
	var records v1alpha1.RolloutRecordList
	for _, list := range []client.ObjectList{&workloads, &records} {
		if err := r.List(ctx, list, client.InNamespace(name)); err != nil {
			return nil, fmt.Errorf("list %T of namespace %s: %w", list, name, err)
		}
	}
	s.records, s.arranged = records.Items, rollout.Arrange(name, workloads.Items, records.Items)
	if r.Platform != nil {
		s.platform = r.Platform()
	}
	return s, nil
}

func (r *Reconciler) forget(namespace string) {
	r.waiting.forget(namespace)
	metrics.HeldRollouts.DeleteLabelValues(namespace)
}

func (s *scope) inRecovery() bool {
	_, found := s.namespace.Labels[v1alpha1.RecoveryLabel]
	return found
}

// look releases one root workload if it may roll out. It returns when time alone may change that.
func (r *Reconciler) look(ctx context.Context, s *scope, root *template.Root) (again time.Time, err error) {
	r.announceHeld(s, root)
	write := &rollout.Write{Namespace: s.arranged, Root: root, Old: root, Platform: s.platform, Now: s.now}
	governing := write.Governing()
	switch {
	case s.inRecovery():
		return r.undo(ctx, root, nil)
	case write.Frozen():
		return time.Time{}, nil
	case len(governing) == 0:
		return r.release(ctx, root, nil)
	}
	set := write.Admitted()
	question := write.Question(governing, set)
	question.CannotHold = func() string { return "" } // it is held
	queries := write.Unknown(&question)
	question.Facts = r.factsOf(queries)
	decision := posture.DecideRollout(question)
	if decision.Allowed && !decision.Held {
		return r.release(ctx, root, ledger.Annotations(decision.Admit, set, ledger.References(root.Annotations)))
	}
	again = decision.NextChange
	for _, query := range queries {
		s.asked = append(s.asked, query.Reference)
		again = posture.Earliest(again, r.Facts.NextLook(query))
	}
	return again, nil
}

func (r *Reconciler) factsOf(queries []posture.ImageQuery) func(string) posture.ImageFacts {
	known := map[string]posture.ImageFacts{}
	for _, query := range queries {
		known[query.Reference], _ = r.Facts.Lookup(query)
	}
	return func(reference string) posture.ImageFacts { return known[reference] }
}

// announceHeld sends an event about a root that was not known to be held: neither its record says so yet nor has this process said it.
func (r *Reconciler) announceHeld(s *scope, root *template.Root) {
	if !r.waiting.begins(s.namespace.Name, root.UID) {
		return
	}
	name := ledger.RecordName(root.Kind, root.Name)
	known := func(record v1alpha1.RolloutRecord) bool { return record.Name == name && record.Spec.Held != nil }
	if name != v1alpha1.RunOnceRecordName && slices.ContainsFunc(s.records, known) { // what Jobs and bare pods share tells none of them from another
		return
	}
	r.announce(root, corev1.EventTypeWarning, v1alpha1.ReasonRolloutHeld,
		"held until its images are fine: "+strings.Join(first(root.Template.References()), ", "))
}

// first are the first three of a list, and how many more there are.
func first(texts []string) []string {
	const shown = 3
	if len(texts) <= shown {
		return texts
	}
	return append(texts[:shown:shown], fmt.Sprintf("and %d more", len(texts)-shown))
}

func (r *Reconciler) announce(root *template.Root, kind, reason, message string) {
	regarding := &corev1.ObjectReference{
		APIVersion: root.APIVersion, Kind: root.Kind, Namespace: root.Namespace, Name: root.Name, UID: root.UID, ResourceVersion: root.ResourceVersion,
	}
	r.Recorder.Eventf(regarding, nil, kind, reason, "Hold", "%s", message)
}
