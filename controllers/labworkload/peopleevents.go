// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/labguard/labguard/api/v1alpha1"
)

// providerNews lets through that an IdentityProvider says something else, that its claims have arrived, and that a proof was looked at anew.
var providerNews = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, wasProvider := e.ObjectOld.(*v1alpha1.IdentityProvider)
	after, isProvider := e.ObjectNew.(*v1alpha1.IdentityProvider)
	return !wasProvider || !isProvider || !before.Status.ClaimsSeenAt.Equal(after.Status.ClaimsSeenAt) || outdated(before) != outdated(after)
}})

// askingForLogins are the LabWorkloads that ask for logins, whatever has changed.
func (r *Reconciler) askingForLogins(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.list(ctx, "", func(workload *v1alpha1.LabWorkload) bool { return workload.Spec.MFA != nil })
}

// askingForTraining are the LabWorkloads that ask for training.
func (r *Reconciler) askingForTraining(ctx context.Context) []reconcile.Request {
	return r.list(ctx, "", func(workload *v1alpha1.LabWorkload) bool { return workload.Spec.Training != nil })
}

// askingPeople are the LabWorkloads that ask for either, whatever has changed.
func (r *Reconciler) askingPeople(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.list(ctx, "", func(workload *v1alpha1.LabWorkload) bool {
		return workload.Spec.MFA != nil || workload.Spec.Training != nil
	})
}

// peopleNews says what is known anew about people.
type peopleNews int

const (
	newRights peopleNews = iota
	newRecords
)

// peopleEvents are the LabWorkloads that ask for what is known anew.
func (r *Reconciler) peopleEvents() source.Source {
	news := make(chan event.TypedGenericEvent[peopleNews], factsBuffer)
	tell := func(what peopleNews) func() {
		return func() {
			select {
			case news <- event.TypedGenericEvent[peopleNews]{Object: what}:
			default: // so many wait that this one is among them
			}
		}
	}
	if tells, can := r.People.Rights.(PeopleEvents); can {
		tells.Notify(tell(newRights))
	}
	if tells, can := r.People.Training.(PeopleEvents); can {
		tells.Notify(tell(newRecords))
	}
	return source.Channel(news, handler.TypedEnqueueRequestsFromMapFunc(func(ctx context.Context, what peopleNews) []reconcile.Request {
		if what == newRecords {
			return r.askingForTraining(ctx)
		}
		return r.askingForLogins(ctx, nil)
	}))
}
