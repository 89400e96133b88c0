// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/internal/posture/training"
)

const (
	lab   = "https://login.lab.example"
	day   = 24 * time.Hour
	year  = 365 * day
	basic = "phishing-basics"
)

var (
	today = time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	ann   = training.Person{Issuer: lab, Subject: "ann"}
	ben   = training.Person{Issuer: lab, Subject: "ben"}
)

// completed is a record of a course that was completed so long ago and ends so long from now; a length of 0 is no end.
func completed(person training.Person, course string, ago, left time.Duration) training.Record {
	r := training.Record{Issuer: person.Issuer, Subject: person.Subject, Course: course, Completed: today.Add(-ago)}
	if left != 0 {
		r.Expires = today.Add(left)
	}
	return r
}

func TestValid(t *testing.T) {
	t.Parallel()
	type records = []training.Record
	for name, c := range map[string]struct {
		records records
		person  training.Person
		courses []string
		maxAge  time.Duration
		missing []string
		next    time.Time
	}{
		"nobody has records":                      {person: ann, courses: []string{basic}, missing: []string{basic}},
		"no course is asked for":                  {person: ann},
		"a record without an end counts for ever": {records: records{completed(ann, basic, 10*year, 0)}, person: ann, courses: []string{basic}},
		"a record counts until it expires": {
			records: records{completed(ann, basic, day, day)}, person: ann, courses: []string{basic}, next: today.Add(day),
		},
		"at the very instant at which it expires it counts no more": {
			records: records{{Issuer: lab, Subject: "ann", Course: basic, Completed: today.Add(-day), Expires: today}}, person: ann, courses: []string{basic}, missing: []string{basic},
		},
		"at the very instant at which it was completed it counts": {records: records{completed(ann, basic, 0, 0)}, person: ann, courses: []string{basic}},
		"what is completed in the future counts from then on": {
			records: records{completed(ann, basic, -day, 0)}, person: ann, courses: []string{basic}, missing: []string{basic}, next: today.Add(day),
		},
		"what is completed in the future and ends before that never counts": {
			records: records{completed(ann, basic, -2*day, day)}, person: ann, courses: []string{basic}, missing: []string{basic},
		},
		"the requirement limits how long ago": {
			records: records{completed(ann, basic, year, 0)}, person: ann, courses: []string{basic}, maxAge: year, missing: []string{basic},
		},
		"the requirement ends what has no end": {
			records: records{completed(ann, basic, year-day, 0)}, person: ann, courses: []string{basic}, maxAge: year, next: today.Add(day),
		},
		"the earlier of both ends counts": {
			records: records{completed(ann, basic, year-2*day, day)}, person: ann, courses: []string{basic}, maxAge: year, next: today.Add(day),
		},
		"a limit below zero lets nothing pass": {
			records: records{completed(ann, basic, day, day)}, person: ann, courses: []string{basic}, maxAge: -time.Hour, missing: []string{basic},
		},
		"a record without a completion proves nothing": {
			records: records{{Issuer: lab, Subject: "ann", Course: basic, Expires: today.Add(day)}}, person: ann, courses: []string{basic}, missing: []string{basic},
		},
		"an older record does not undo a newer one": {
			records: records{completed(ann, basic, day, 3*day), completed(ann, basic, 5*day, -day)}, person: ann, courses: []string{basic}, next: today.Add(3 * day),
		},
		"records without a gap between them are one time": {
			records: records{completed(ann, basic, -2*day, 9*day), completed(ann, basic, day, 2*day)}, person: ann, courses: []string{basic}, next: today.Add(9 * day),
		},
		"a gap between records is one": {
			records: records{completed(ann, basic, -3*day, 9*day), completed(ann, basic, day, 2*day)}, person: ann, courses: []string{basic}, next: today.Add(2 * day),
		},
		"a record in the future that never ends makes one with an end endless": {
			records: records{completed(ann, basic, day, 2*day), completed(ann, basic, -day, 0)}, person: ann, courses: []string{basic},
		},
		"the records of others do not count":            {records: records{completed(ben, basic, day, 0)}, person: ann, courses: []string{basic}, missing: []string{basic}},
		"another course does not count":                 {records: records{completed(ann, "Phishing-Basics", day, 0)}, person: ann, courses: []string{basic}, missing: []string{basic}},
		"the same subject of another issuer is another": {records: records{completed(training.Person{Issuer: lab + "/", Subject: "ann"}, basic, day, 0)}, person: ann, courses: []string{basic}, missing: []string{basic}},
		"a subject that looks the same is another":      {records: records{completed(training.Person{Issuer: lab, Subject: "\u0430nn"}, basic, day, 0)}, person: ann, courses: []string{basic}, missing: []string{basic}},
		"who has no subject is nobody":                  {records: records{completed(training.Person{Issuer: lab}, basic, day, 0)}, person: training.Person{Issuer: lab}, courses: []string{basic}, missing: []string{basic}},
		"who has no issuer is nobody":                   {records: records{completed(training.Person{Subject: "ann"}, basic, day, 0)}, person: training.Person{Subject: "ann"}, courses: []string{basic}, missing: []string{basic}},
		"missing courses are sorted, each once": {
			records: records{completed(ann, "b", day, 7*day)}, person: ann, courses: []string{"c", "a", "b", "c"}, missing: []string{"a", "c"}, next: today.Add(7 * day),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := slices.Clone(c.courses)
			missing, next := training.Valid(training.NewIndex(c.records), c.person, c.courses, c.maxAge, today)
			if diff := cmp.Diff(c.missing, missing); diff != "" {
				t.Errorf("missing (-want +got):\n%s", diff)
			}
			if !next.Equal(c.next) {
				t.Errorf("the next change is at %v, want %v", next, c.next)
			}
			if diff := cmp.Diff(asked, c.courses); diff != "" {
				t.Errorf("the courses of the caller were changed:\n%s", diff)
			}
		})
	}
}

func TestNoIndexIsOneWithoutRecords(t *testing.T) {
	t.Parallel()
	missing, next := training.Valid(nil, ann, []string{basic}, 0, today)
	if diff := cmp.Diff([]string{basic}, missing); diff != "" || !next.IsZero() {
		t.Errorf("missing (-want +got):\n%s\nnext change at %v", diff, next)
	}
	var none *training.Index
	if found := none.People([]string{basic}); len(found) != 0 {
		t.Errorf("people of no index: %v", found)
	}
}

func TestPeopleHaveARecordOfOneOfTheCourses(t *testing.T) {
	t.Parallel()
	carl := training.Person{Issuer: "https://a.example", Subject: "carl"}
	index := training.NewIndex([]training.Record{
		completed(ben, basic, 9*year, -day), completed(ann, basic, day, 0), completed(ann, "b", day, 0), completed(carl, "b", day, 0),
		completed(training.Person{Issuer: lab, Subject: "dora"}, "other", day, 0),
	})
	if diff := cmp.Diff([]training.Person{carl, ann, ben}, index.People([]string{basic, "b"})); diff != "" {
		t.Errorf("people (-want +got):\n%s", diff)
	}
}

// someRecords draws records of few people and courses, so that they meet.
func someRecords() *rapid.Generator[[]training.Record] {
	length := rapid.Map(rapid.IntRange(-9, 9), func(days int) time.Duration { return time.Duration(days) * day })
	one := rapid.Custom(func(t *rapid.T) training.Record {
		return completed(rapid.SampledFrom([]training.Person{ann, ben}).Draw(t, "person"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "course"),
			length.Draw(t, "ago"), length.Draw(t, "left"))
	})
	return rapid.SliceOfN(one, 0, 12)
}

func TestPropertyNothingChangesBeforeTheNextChangeAndSomethingMayThen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := training.NewIndex(someRecords().Draw(t, "records"))
		maxAge := time.Duration(rapid.IntRange(0, 9).Draw(t, "maxAge")) * day
		for _, course := range []string{"a", "b"} {
			missing, next := training.Valid(records, ann, []string{course}, maxAge, today)
			for later := today; later.Before(today.Add(30 * day)); later = later.Add(day / 2) {
				then, _ := training.Valid(records, ann, []string{course}, maxAge, later)
				before := next.IsZero() || later.Before(next)
				if before && !slices.Equal(missing, then) {
					t.Fatalf("it changes at %v, before %v", later, next)
				}
				if later.Equal(next) && slices.Equal(missing, then) {
					t.Fatalf("nothing changes at %v", next)
				}
			}
		}
	})
}

func TestPropertyOneMoreRecordNeverTakesACourseAwayAndAShorterLimitNeverGivesOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records, more := someRecords().Draw(t, "records"), someRecords().Draw(t, "more")
		short := time.Duration(rapid.IntRange(1, 9).Draw(t, "short")) * day
		courses := []string{"a", "b"}
		missing := func(records []training.Record, maxAge time.Duration) []string {
			found, _ := training.Valid(training.NewIndex(records), ann, courses, maxAge, today)
			return found
		}
		for _, course := range missing(append(slices.Clone(more), records...), short) {
			if !slices.Contains(missing(records, short), course) {
				t.Fatalf("more records lack %s", course)
			}
		}
		for _, longer := range []time.Duration{0, short + day} {
			for _, course := range missing(records, longer) {
				if !slices.Contains(missing(records, short), course) {
					t.Fatalf("%s is lacking with a limit of %v and not with %v", course, longer, short)
				}
			}
		}
	})
}

func TestPropertyTheOrderOfRecordsNeverDecides(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		records := someRecords().Draw(t, "records")
		shuffled := rapid.Permutation(records).Draw(t, "shuffled")
		seen := training.Observation{Courses: []string{"b", "a"}, MaxAge: 5 * day, People: []training.Person{ben, ann, ben}, Records: training.NewIndex(records)}
		other := training.Observation{Courses: []string{"a", "b", "a"}, MaxAge: 5 * day, People: []training.Person{ann, ben}, Records: training.NewIndex(shuffled)}
		if diff := cmp.Diff(training.Judge(seen, today), training.Judge(other, today)); diff != "" {
			t.Fatalf("another verdict:\n%s", diff)
		}
	})
}

// many are records of so many people, each of one course.
func many(count int) []training.Record {
	records := make([]training.Record, count)
	for i := range records {
		records[i] = completed(training.Person{Issuer: lab, Subject: fmt.Sprint("person-", i)}, fmt.Sprint("course-", i%20), day, year)
	}
	return records
}

func BenchmarkValidAmong10000Records(b *testing.B) {
	index := training.NewIndex(many(10_000))
	courses := []string{"course-7", "course-8", "course-9"}
	person := training.Person{Issuer: lab, Subject: "person-5007"}
	b.ReportAllocs()
	for b.Loop() {
		if missing, _ := training.Valid(index, person, courses, year, today); len(missing) != 2 {
			b.Fatal(missing)
		}
	}
}

func BenchmarkNewIndexOf10000Records(b *testing.B) {
	records := many(10_000)
	b.ReportAllocs()
	for b.Loop() {
		training.NewIndex(records)
	}
}

func BenchmarkJudge1000PeopleAmong10000Records(b *testing.B) {
	records := many(10_000)
	seen := training.Observation{Courses: []string{"course-7", "course-8"}, Records: training.NewIndex(records)}
	for _, r := range records[:1000] {
		seen.People = append(seen.People, training.Person{Issuer: r.Issuer, Subject: r.Subject})
	}
	b.ReportAllocs()
	for b.Loop() {
		training.Judge(seen, today)
	}
}
