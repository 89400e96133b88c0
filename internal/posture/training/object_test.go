// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/training"
)

func TestRecordsOfObjects(t *testing.T) {
	t.Parallel()
	expires := metav1.NewTime(today.Add(year))
	objects := []v1alpha1.TrainingRecord{
		{Spec: v1alpha1.TrainingRecordSpec{
			Subject: "ann", Issuer: lab, Course: basic, Completed: metav1.NewTime(today.Add(-day)), Expires: &expires, Evidence: "https://lms.lab.example/c/1",
		}},
		{Spec: v1alpha1.TrainingRecordSpec{Subject: "ben", Issuer: lab, Course: "b", Completed: metav1.NewTime(today)}},
		{},
	}
	want := []training.Record{completed(ann, basic, day, year), completed(ben, "b", 0, 0), {}}
	if diff := cmp.Diff(want, training.FromObjects(objects)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestWhatALabWorkloadAsksFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spec v1alpha1.TrainingSpec
		want training.Observation
	}{
		"courses alone": {spec: v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{"b", "a"}}, want: training.Observation{Courses: []string{"b", "a"}}},
		"all of it": {
			spec: v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{"a"}, MaxAge: "8760h", Subjects: []v1alpha1.TrainingSubject{{Issuer: lab, Subject: "ann"}}},
			want: training.Observation{Courses: []string{"a"}, MaxAge: year, People: []training.Person{ann}},
		},
		"a limit that is none lets nothing pass":             {spec: v1alpha1.TrainingSpec{MaxAge: "a year"}, want: training.Observation{MaxAge: -1}},
		"a limit of nothing is no limit that lets much pass": {spec: v1alpha1.TrainingSpec{MaxAge: "0h"}, want: training.Observation{MaxAge: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, training.Asked(c.spec)); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhereNobodyIsNamedItIsAboutThePeopleOfTheRecords(t *testing.T) {
	t.Parallel()
	index := training.NewIndex([]training.Record{completed(ann, basic, day, 0), completed(ben, "other", day, 0)})
	ignore := cmpopts.IgnoreFields(training.Observation{}, "Records")
	for name, c := range map[string]struct{ asked, want training.Observation }{
		"nobody is named": {
			asked: training.Observation{Courses: []string{basic}},
			want:  training.Observation{Courses: []string{basic}, People: []training.Person{ann}, FromRecords: true},
		},
		"somebody is named": {
			asked: training.Observation{Courses: []string{basic}, People: []training.Person{ben}},
			want:  training.Observation{Courses: []string{basic}, People: []training.Person{ben}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.asked.With(index)
			if diff := cmp.Diff(c.want, got, ignore); diff != "" || got.Records != index {
				t.Errorf("observation (-want +got):\n%s", diff)
			}
		})
	}
	if v := training.Judge(training.Observation{Courses: []string{basic}}.With(nil), today); v.Reason != v1alpha1.ReasonNobodyKnown {
		t.Errorf("without a record of anybody: %+v", v)
	}
	long := training.Observation{Courses: []string{basic}, MaxAge: -time.Nanosecond}.With(index)
	if v := training.Judge(long, today); v.Status() != metav1.ConditionFalse {
		t.Errorf("a limit that lets nothing pass: %+v", v)
	}
}
