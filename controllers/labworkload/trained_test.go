// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/internal/posture/training"
)

// Whatever was asked before, of whichever records and at whichever instant, the answer is the one that nobody had to remember.
func TestPropertyARememberedAnswerIsTheAnswer(t *testing.T) {
	t.Parallel()
	courses := rapid.SampledFrom([]string{"a", "b", "c"})
	indexes := []*training.Index{nil}
	for i := range 3 {
		var records []training.Record
		for person := range 4 {
			records = append(records, training.Record{
				Issuer: loginIssuer, Subject: fmt.Sprint(person), Course: []string{"a", "b", "c"}[(person+i)%3],
				Completed: today.Add(-time.Duration(person) * 20 * day), Expires: today.Add(time.Duration(person*i) * 25 * day),
			})
		}
		indexes = append(indexes, training.NewIndex(records))
	}
	rapid.Check(t, func(t *rapid.T) {
		var memory trained
		for range rapid.IntRange(1, 12).Draw(t, "questions") {
			asked := training.Observation{
				Courses: rapid.SliceOfN(courses, 1, 2).Draw(t, "courses"), MaxAge: rapid.SampledFrom([]time.Duration{0, 30 * day, 90 * day}).Draw(t, "age"),
			}
			if rapid.Bool().Draw(t, "named") {
				asked.People = []training.Person{{Issuer: loginIssuer, Subject: "1"}}
			}
			index := rapid.SampledFrom(indexes).Draw(t, "records")
			now := today.Add(time.Duration(rapid.IntRange(-10, 120).Draw(t, "days")) * day)
			if diff := cmp.Diff(training.Judge(asked.With(index), now), memory.judge(asked, index, now)); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
		}
	})
}

func TestManyLabWorkloadsThatAskForTheSameAreOneQuestion(t *testing.T) {
	var records []training.Record
	for i := range 10_000 {
		records = append(records, training.Record{Issuer: loginIssuer, Subject: fmt.Sprint(i), Course: course, Completed: today.Add(-day)})
	}
	var memory trained
	index, asked := training.NewIndex(records), training.Observation{Courses: []string{course}}
	memory.judge(asked, index, today)
	if allocated := testing.AllocsPerRun(100, func() { memory.judge(asked, index, today) }); allocated > 20 {
		t.Errorf("a second question allocates %v times, as if everybody were looked at again", allocated)
	}
	for i := range 3 * maxTrained {
		memory.judge(training.Observation{Courses: []string{fmt.Sprint(i)}}, nil, today)
	}
	if len(memory.answers) > maxTrained {
		t.Errorf("%d answers are remembered", len(memory.answers))
	}
}
