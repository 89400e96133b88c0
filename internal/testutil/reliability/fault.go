// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// fault is one way in which a call fails.
type fault struct {
	name string
	// sent says that the server did what was asked.
	sent bool
	// lasting says that the fault can be there for as long as somebody does not
	// mend it; it is then tried over several passes too.
	lasting bool
	// repeated says that the fault is also tried on the first three calls.
	repeated bool
	hits     func(shape) bool
	err      func(Call) error
}

var errInjected = errors.New("injected by the test")

func every(shape) bool { return true }

func writes(s shape) bool { return !s.Verb.reads() }

// faults are all ways of failing. A 404 for a call on one object is not among
// them: for it the honest answer "it is gone" and the lie look the same.
func faults() []fault {
	return []fault{
		{name: "conflict", repeated: true, hits: conflicts, err: func(c Call) error {
			return apierrors.NewConflict(c.resource(), c.Key.Name, errInjected)
		}},
		{name: "too-many-requests", hits: every, err: func(Call) error {
			return apierrors.NewTooManyRequests(errInjected.Error(), 1)
		}},
		{name: "internal-error", repeated: true, hits: every, err: func(Call) error {
			return apierrors.NewInternalError(errInjected)
		}},
		{name: "timeout-not-applied", hits: every, err: timeout},
		{name: "timeout-applied", sent: true, repeated: true, hits: writes, err: timeout},
		{name: "forbidden", lasting: true, hits: every, err: func(c Call) error {
			return apierrors.NewForbidden(c.resource(), c.Key.Name, errInjected)
		}},
		{name: "no-match", lasting: true, hits: every, err: func(c Call) error {
			return fmt.Errorf("injected by the test: %w", &meta.NoKindMatchError{GroupKind: c.Kind.GroupKind(), SearchedVersions: []string{c.Kind.Version}})
		}},
		{name: "not-served", lasting: true, hits: collections, err: func(c Call) error {
			return apierrors.NewGenericServerResponse(http.StatusNotFound, string(c.Verb), c.resource(), c.Key.Name, errInjected.Error(), 0, true)
		}},
		{name: "invalid", lasting: true, hits: writes, err: func(c Call) error {
			reason := field.InternalError(field.NewPath("spec"), errInjected)
			return apierrors.NewInvalid(c.Kind.GroupKind(), c.Key.Name, field.ErrorList{reason})
		}},
	}
}

// conflicts are writes that the server can answer with 409 Conflict. A create
// gets AlreadyExists, truly so, after a timeout that was applied.
func conflicts(s shape) bool {
	return s.Verb == VerbUpdate || s.Verb == VerbPatch || s.Verb == VerbApply || s.Verb == VerbDelete
}

// collections are calls for which a 404 cannot mean that an object is gone: it
// means that the kind is no longer served, though the client has seen it before.
func collections(s shape) bool {
	return s.Verb == VerbList || (s.Subresource == "" && (s.Verb == VerbApply || s.Verb == VerbCreate))
}

func timeout(c Call) error {
	return &url.Error{Op: string(c.Verb), URL: "https://kubernetes/" + c.Kind.Kind, Err: fmt.Errorf("%w: %w", errInjected, context.DeadlineExceeded)}
}
