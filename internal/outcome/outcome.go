// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/labguard/labguard/internal/apply"
)

// Soon is for WaitingError.After: what is waited for comes within moments and no watch announces it.
const Soon = 500 * time.Millisecond

const (
	// conflictDelay is how long after a 409 the object is looked at again: the cache has caught up by then.
	conflictDelay = 250 * time.Millisecond
	// waitingDelay is how often something is looked at that no watch announces.
	waitingDelay = time.Minute
	// maxJitter spreads the reports about objects that change at the same instant.
	maxJitter = 60 * time.Second
)

// WaitingError says that something labguard needs is not there yet and that no retry at once helps, such as cert-manager's API.
type WaitingError struct {
	// Reason is the reason of the condition; Message is for a person.
	Reason, Message string
	// After is when to look again. Default: a minute.
	After time.Duration
}

// Error is the message.
func (e *WaitingError) Error() string { return e.Message }

// Class is how an error is answered.
type Class int

// The classes of errors. None is no error, Gone an object that was deleted meanwhile, Conflict a write that lost a race, Waiting something
// that has to come from elsewhere, Terminal something that no retry mends, Transient the rest.
const (
	None Class = iota
	Gone
	Conflict
	Waiting
	Terminal
	Transient
)

// urgency orders the classes: what is answered first where several errors are joined. A transient error must neither wait for a minute
// nor stay unsaid because something else is missing as well.
var urgency = []Class{None, Gone, Terminal, Waiting, Conflict, Transient}

// Classify says how an error is to be answered; of joined errors, the most urgent.
func Classify(err error) Class {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return classifyOne(err)
	}
	class := None
	for _, one := range joined.Unwrap() {
		if found := Classify(one); slices.Index(urgency, found) > slices.Index(urgency, class) {
			class = found
		}
	}
	return class
}

func classifyOne(err error) Class {
	var waiting *WaitingError
	var notOurs *apply.NotOursError
	switch {
	case err == nil:
		return None
	case errors.As(err, &waiting), errors.As(err, &notOurs), meta.IsNoMatchError(err):
		return Waiting
	case errors.Is(err, reconcile.TerminalError(nil)):
		return Terminal
	case apierrors.IsConflict(err):
		return Conflict
	case apierrors.HasStatusCause(err, "NamespaceTerminating"):
		return Gone
	default:
		return Transient
	}
}

// Result says when a reconcile is to run again: soon after a conflict, with back-off after a transient error, and else at the next change, which
// is spread over a minute so that 10,000 objects with one base image do not wake at the same instant. random is in [0, 1).
func Result(err error, nextChange, now time.Time, random func() float64) (ctrl.Result, error) {
	switch Classify(err) {
	case Conflict:
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	case Waiting:
		return ctrl.Result{RequeueAfter: waitingFor(err)}, nil
	case Terminal, Transient:
		return ctrl.Result{}, err
	default:
	}
	if nextChange.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(nextChange.Sub(now), 0) + time.Duration(random()*float64(maxJitter)) + time.Millisecond}, nil
}

// waitingFor is when to look again at what is missing.
func waitingFor(err error) time.Duration {
	var waiting *WaitingError
	if errors.As(err, &waiting) && waiting.After > 0 {
		return waiting.After
	}
	return waitingDelay
}
