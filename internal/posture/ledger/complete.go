// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Complete are the annotations of a root workload with everything that its record admits, and whether that says more than they say now. What came in
// without a webhook (it was there before enforcement, or was labelled in) stands in the record alone, where no match condition can read it; with it
// in the annotations, a rollback to it needs no labguard either.
func Complete(annotations map[string]string, record *v1alpha1.RolloutRecord) (map[string]string, bool) {
	present := References(annotations)
	complete := Annotations(nil, NewSet(annotations, []string{record.Name}, []v1alpha1.RolloutRecord{*record}), present)
	more := slices.ContainsFunc(References(complete), func(reference string) bool { return !slices.Contains(present, reference) })
	return complete, more
}
