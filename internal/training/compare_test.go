// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/training"
)

func TestWhatAnImportHasToDoWithARecord(t *testing.T) {
	t.Parallel()
	changed := func(change func(*v1alpha1.TrainingRecordSpec)) *v1alpha1.TrainingRecordSpec {
		spec := ann().Object().Spec
		change(&spec)
		return &spec
	}
	at := func(when time.Time) *metav1.Time { return &metav1.Time{Time: when} }
	for name, c := range map[string]struct {
		there   *v1alpha1.TrainingRecordSpec
		want    training.Difference
		shorter bool
	}{
		"nothing is there":            {want: training.Created},
		"the same is there":           {there: changed(func(*v1alpha1.TrainingRecordSpec) {}), want: training.Unchanged},
		"the same in another zone":    {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Completed.Time = s.Completed.In(time.FixedZone("", 3600)) }), want: training.Unchanged},
		"it was completed before":     {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Completed.Time = january15(2025) }), want: training.Changed},
		"it was completed later":      {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Completed.Time = january15(2026).Add(time.Hour) }), want: training.Changed, shorter: true},
		"it expires earlier there":    {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Expires = at(january15(2026).Add(time.Hour)) }), want: training.Changed},
		"it expires later there":      {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Expires = at(january15(2030)) }), want: training.Changed, shorter: true},
		"it never expires there":      {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Expires = nil }), want: training.Changed, shorter: true},
		"another link is there":       {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Evidence = "https://lms.lab.example/c/2" }), want: training.Changed},
		"it is of somebody else":      {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Subject = "ben" }), want: training.Changed},
		"it is of another issuer":     {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Issuer += "/" }), want: training.Changed},
		"it is of another course yet": {there: changed(func(s *v1alpha1.TrainingRecordSpec) { s.Course = "b" }), want: training.Changed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := ann().Differs(c.there); got != c.want {
				t.Errorf("it is %s, want %s", got, c.want)
			}
			if c.there != nil && ann().Shortens(*c.there) != c.shorter {
				t.Errorf("shortens: %v", !c.shorter)
			}
		})
	}
}

func TestARecordWithoutAnEndDiffersFromOneWithAnEnd(t *testing.T) {
	t.Parallel()
	endless := with(func(r *training.Record) { r.Expires = time.Time{} })
	there := ann().Object().Spec
	if got := endless.Differs(&there); got != training.Changed || endless.Shortens(there) {
		t.Errorf("it is %s, and shortens: %v", got, endless.Shortens(there))
	}
	if there = endless.Object().Spec; endless.Differs(&there) != training.Unchanged {
		t.Error("without an end on both sides it is not unchanged")
	}
}
