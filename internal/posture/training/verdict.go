// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// Notice is how long before it ends training is reported as due.
const Notice = 30 * 24 * time.Hour

// Observation is what is known of the people who may reach one workload.
type Observation struct {
	// Courses are what each of them needs, and MaxAge is how long ago a course may have been completed; 0 is no limit.
	Courses []string
	MaxAge  time.Duration
	// People are those who are known to reach the workload, in any order.
	People []Person
	// FromRecords says that People were found in the records of the courses, and that nobody has named them. Whoever has no record at all is not among
	// them, and the message says whose word it is.
	FromRecords bool
	// Records are the training records of the cluster.
	Records *Index
}

// tally is what was counted.
type tally struct {
	people, lacking, due int
	// never are the courses that somebody has never completed, ended those that ended for somebody, soon those that end for somebody within Notice.
	never, ended, soon []string
	// next is when somebody's standing changes by time alone, notice when the next training comes within Notice of its end.
	next, notice time.Time
}

// Judge answers StaffTrained.
func Judge(seen Observation, now time.Time) posture.Verdict {
	courses := distinct(seen.Courses)
	people := slices.Clone(seen.People)
	slices.SortFunc(people, comparePeople)
	people = slices.Compact(people)
	switch {
	case len(courses) == 0:
		return posture.Phrase(metav1.ConditionUnknown, v1alpha1.ReasonNoRequirement, "no course is named that anybody would need: name one in training.courses")
	case len(people) == 0:
		return posture.Phrase(metav1.ConditionUnknown, v1alpha1.ReasonNobodyKnown,
			"nobody is known who may reach the workload: name people in training.subjects, or import records of %s", courses)
	}
	counted := tally{people: len(people)}
	for _, person := range people {
		counted.add(seen.Records, person, courses, seen.MaxAge, now)
	}
	return counted.verdict(courses, seen.FromRecords)
}

// add counts one person.
func (t *tally) add(records *Index, person Person, courses []string, maxAge time.Duration, now time.Time) {
	var lacks, due bool
	for _, course := range courses {
		found := records.look(person, course, maxAge, now)
		t.next = posture.Earliest(t.next, found.changes)
		switch {
		case found.valid && found.changes.IsZero():
		case found.valid && found.changes.Add(-Notice).After(now):
			t.notice = posture.Earliest(t.notice, found.changes.Add(-Notice))
		case found.valid:
			due, t.soon = true, append(t.soon, course)
		case found.ended:
			lacks, t.ended = true, append(t.ended, course)
		default:
			lacks, t.never = true, append(t.never, course)
		}
	}
	if lacks {
		t.lacking++
	}
	if due {
		t.due++
	}
}

// verdict puts what was counted into words.
func (t *tally) verdict(courses []string, fromRecords bool) posture.Verdict {
	whose := people(t.people)
	if fromRecords {
		whose += " of the training records"
	}
	var v posture.Verdict
	switch {
	case len(t.never) > 0:
		v = posture.Phrase(metav1.ConditionFalse, v1alpha1.ReasonTrainingMissing,
			fmt.Sprintf("valid training is missing for %d of %s: have them take %%s, and import the records", t.lacking, whose), slices.Concat(t.never, t.ended))
	case len(t.ended) > 0:
		v = posture.Phrase(metav1.ConditionFalse, v1alpha1.ReasonTrainingExpired,
			fmt.Sprintf("training has ended for %d of %s: have them take %%s again, and import the records", t.lacking, whose), t.ended)
	case len(t.soon) > 0:
		v = posture.Phrase(metav1.ConditionTrue, v1alpha1.ReasonTrainingDueSoon,
			fmt.Sprintf("training ends within 30 days for %d of %s: have them take %%s again", t.due, whose), t.soon)
		v.NextChange = posture.Earliest(t.next, t.notice)
		return v
	default:
		v = posture.Phrase(metav1.ConditionTrue, v1alpha1.ReasonStaffTrained, fmt.Sprintf("%s: valid training in %%s for each", whose), courses)
		v.NextChange = posture.Earliest(t.next, t.notice)
		return v
	}
	v.NextChange = t.next
	return v
}

func people(count int) string {
	if count == 1 {
		return "1 person"
	}
	return fmt.Sprintf("%d people", count)
}
