// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/training"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	const (
		yes     = metav1.ConditionTrue
		no      = metav1.ConditionFalse
		unknown = metav1.ConditionUnknown
	)
	both := []training.Person{ann, ben}
	for name, c := range map[string]struct {
		records []training.Record
		seen    training.Observation
		want    posture.Verdict
	}{
		"who looks at nothing knows nothing": {
			want: posture.Verdict{Answer: unknown, Reason: v1alpha1.ReasonNoRequirement, Message: "no course is named that anybody would need: name one in training.courses"},
		},
		"nobody is no proof that everybody is trained": {
			seen: training.Observation{Courses: []string{basic}},
			want: posture.Verdict{
				Answer: unknown, Reason: v1alpha1.ReasonNobodyKnown,
				Message: "nobody is known who may reach the workload: name people in training.subjects, or import records of phishing-basics",
			},
		},
		"everybody has completed every course, for ever": {
			records: []training.Record{completed(ann, basic, year, 0), completed(ben, basic, day, 0)},
			seen:    training.Observation{Courses: []string{basic}, People: both},
			want:    posture.Verdict{Answer: yes, Reason: v1alpha1.ReasonStaffTrained, Message: "2 people: valid training in phishing-basics for each"},
		},
		"the message says where the people come from, and the 30 days wake it": {
			records: []training.Record{completed(ann, basic, day, 90*day)},
			seen:    training.Observation{Courses: []string{basic}, People: []training.Person{ann, ann}, FromRecords: true},
			want: posture.Verdict{
				Answer: yes, Reason: v1alpha1.ReasonStaffTrained, Message: "1 person of the training records: valid training in phishing-basics for each", NextChange: today.Add(60 * day),
			},
		},
		"30 days before the end it is due, and still true": {
			records: []training.Record{completed(ann, basic, day, 30*day), completed(ben, basic, day, 90*day)},
			seen:    training.Observation{Courses: []string{basic}, People: both},
			want: posture.Verdict{
				Answer: yes, Reason: v1alpha1.ReasonTrainingDueSoon, Message: "training ends within 30 days for 1 of 2 people: have them take phishing-basics again",
				NextChange: today.Add(30 * day),
			},
		},
		"a day before that it is not": {
			records: []training.Record{completed(ann, basic, day, 31*day)},
			seen:    training.Observation{Courses: []string{basic}, People: []training.Person{ann}},
			want:    posture.Verdict{Answer: yes, Reason: v1alpha1.ReasonStaffTrained, Message: "1 person: valid training in phishing-basics for each", NextChange: today.Add(day)},
		},
		"the limit of the requirement is an end like any other": {
			records: []training.Record{completed(ann, basic, 360*day, 0)},
			seen:    training.Observation{Courses: []string{basic}, MaxAge: year, People: []training.Person{ann}},
			want: posture.Verdict{
				Answer: yes, Reason: v1alpha1.ReasonTrainingDueSoon, Message: "training ends within 30 days for 1 of 1 person: have them take phishing-basics again",
				NextChange: today.Add(5 * day),
			},
		},
		"training that has ended is told from training that never was": {
			records: []training.Record{completed(ann, basic, year, -day), completed(ben, basic, day, 90*day)},
			seen:    training.Observation{Courses: []string{basic}, People: both},
			want: posture.Verdict{
				Answer: no, Reason: v1alpha1.ReasonTrainingExpired, Message: "training has ended for 1 of 2 people: have them take phishing-basics again, and import the records",
				NextChange: today.Add(90 * day),
			},
		},
		"who never took a course stands before whose training has ended": {
			records: []training.Record{completed(ann, basic, year, -day)},
			seen:    training.Observation{Courses: []string{basic, "hl7"}, People: both},
			want: posture.Verdict{
				Answer: no, Reason: v1alpha1.ReasonTrainingMissing, Message: "valid training is missing for 2 of 2 people: have them take hl7, phishing-basics, and import the records",
			},
		},
		"a course that will be completed is not": {
			records: []training.Record{completed(ann, basic, -day, 0)},
			seen:    training.Observation{Courses: []string{basic}, People: []training.Person{ann}},
			want: posture.Verdict{
				Answer: no, Reason: v1alpha1.ReasonTrainingMissing, Message: "valid training is missing for 1 of 1 person: have them take phishing-basics, and import the records",
				NextChange: today.Add(day),
			},
		},
		"a person without a subject is nobody whom records speak of": {
			records: []training.Record{completed(training.Person{Issuer: lab}, basic, day, 0)},
			seen:    training.Observation{Courses: []string{basic}, People: []training.Person{{Issuer: lab}}},
			want: posture.Verdict{
				Answer: no, Reason: v1alpha1.ReasonTrainingMissing, Message: "valid training is missing for 1 of 1 person: have them take phishing-basics, and import the records",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.seen.Records = training.NewIndex(c.records)
			if diff := cmp.Diff(c.want, training.Judge(c.seen, today)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// A condition can be read by everybody who may read the LabWorkload: it tells who is meant to nobody who does not know, and nothing of when.
func TestNoMessageNamesAPersonOrADateOrIsTooLong(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var courses []string
		for i := range rapid.IntRange(1, 16).Draw(t, "courses") {
			courses = append(courses, strings.Repeat(fmt.Sprint("c", i), rapid.IntRange(1, 40).Draw(t, "length")))
		}
		secret := training.Person{Issuer: "https://secret.example", Subject: "secret-subject"}
		var records []training.Record
		for _, course := range courses {
			ago, left := rapid.IntRange(-3, 400).Draw(t, "ago"), rapid.IntRange(-40, 400).Draw(t, "left")
			records = append(records, completed(secret, course, time.Duration(ago)*day, time.Duration(left)*day))
		}
		verdict := training.Judge(training.Observation{
			Courses: courses, People: []training.Person{secret}, Records: training.NewIndex(records), FromRecords: rapid.Bool().Draw(t, "from records"),
		}, today)
		if verdict.Message == "" || len(verdict.Message) >= 300 {
			t.Fatalf("a message of %d bytes: %s", len(verdict.Message), verdict.Message)
		}
		for _, private := range []string{"secret", "202", "UTC"} {
			if strings.Contains(verdict.Message, private) {
				t.Fatalf("%q is in the message: %s", private, verdict.Message)
			}
		}
		if verdict.Answer == metav1.ConditionTrue {
			for _, course := range courses {
				if missing, _ := training.Valid(training.NewIndex(records), secret, []string{course}, 0, today); len(missing) > 0 {
					t.Fatalf("True, and %v is lacking", missing)
				}
			}
		}
		if !verdict.NextChange.IsZero() && !verdict.NextChange.After(today) {
			t.Fatalf("the next change at %v is none", verdict.NextChange)
		}
	})
}

func TestPropertyAVerdictHoldsUntilItsNextChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seen := training.Observation{
			Courses: []string{"a", "b"}, People: []training.Person{ann, ben}, Records: training.NewIndex(someRecords().Draw(t, "records")),
			MaxAge: time.Duration(rapid.IntRange(0, 40).Draw(t, "maxAge")) * day,
		}
		verdict := training.Judge(seen, today)
		for later := today; later.Before(today.Add(60*day)) && (verdict.NextChange.IsZero() || later.Before(verdict.NextChange)); later = later.Add(day) {
			then := training.Judge(seen, later)
			if then.Answer != verdict.Answer || then.Reason != verdict.Reason || then.Message != verdict.Message {
				t.Fatalf("%v turns into %v at %v", verdict, then, later)
			}
		}
	})
}
