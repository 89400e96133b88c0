// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Difference is what an import has to do so that the cluster has a record.
type Difference string

const (
	// Created is a record that the cluster does not have.
	Created Difference = "created"
	// Changed is a record that the cluster has with other dates or another link.
	Changed Difference = "changed"
	// Unchanged is a record that the cluster has as it is.
	Unchanged Difference = "unchanged"
)

// Differs compares a record with what the cluster has under its name, which may be nothing.
func (r Record) Differs(there *v1alpha1.TrainingRecordSpec) Difference {
	switch {
	case there == nil:
		return Created
	case r.Is(*there):
		return Unchanged
	default:
		return Changed
	}
}

// Is says whether an object of the cluster says what the record says, and nothing else. Instants are compared to the second, as the API keeps them.
func (r Record) Is(spec v1alpha1.TrainingRecordSpec) bool {
	return spec.Subject == r.Subject && spec.Issuer == r.Issuer && string(spec.Course) == r.Course && spec.Evidence == r.Evidence &&
		spec.Completed.Time.Equal(r.Completed) && endOf(spec).Equal(r.Expires)
}

// Shortens says whether the record counts for a shorter time than what the cluster has: the mark of an export that is older than the one before.
func (r Record) Shortens(there v1alpha1.TrainingRecordSpec) bool {
	end := endOf(there)
	if !end.Equal(r.Expires) {
		return end.IsZero() || !r.Expires.IsZero() && r.Expires.Before(end)
	}
	return r.Completed.Before(there.Completed.Time)
}

// endOf is the instant from which on a record counts no more; zero if it has none.
func endOf(spec v1alpha1.TrainingRecordSpec) time.Time {
	if spec.Expires == nil {
		return time.Time{}
	}
	return spec.Expires.Time
}
