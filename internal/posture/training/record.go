// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/internal/posture"
)

// Person is somebody as an identity provider names them. Without an issuer or without a subject it is nobody, and nobody is trained.
type Person struct {
	// Issuer is the OpenID Connect issuer, as it stands in tokens.
	Issuer string
	// Subject is the value of the claim by which the issuer's people are told apart.
	Subject string
}

// Record says that a person has completed a course. The zero value proves nothing.
type Record struct {
	// Subject and Issuer name the person.
	Subject, Issuer string
	// Course names the course.
	Course string
	// Completed is since when it counts. A record without it never does.
	Completed time.Time
	// Expires is from when on it counts no more; zero if it has no end of its own.
	Expires time.Time
}

// until is from when on the record counts no more, given how long ago a course may have been completed; zero is never.
func (r Record) until(maxAge time.Duration) time.Time {
	if maxAge == 0 {
		return r.Expires
	}
	return posture.Earliest(r.Completed.Add(maxAge), r.Expires)
}

// Index finds records by person and course. It never changes, so that many may read it at once. Nil is one without records.
type Index struct {
	records map[key][]Record
}

type key struct {
	person Person
	course string
}

// NewIndex makes an index of records, in any order. Records of nobody, of no course or without a completion are left out. Of several records of one
// person and course, each counts for its own time.
func NewIndex(records []Record) *Index {
	found := make(map[key][]Record, len(records))
	for _, r := range records {
		if r.Issuer == "" || r.Subject == "" || r.Course == "" || r.Completed.IsZero() {
			continue
		}
		at := key{person: Person{Issuer: r.Issuer, Subject: r.Subject}, course: r.Course}
		found[at] = append(found[at], r)
	}
	for _, same := range found {
		slices.SortStableFunc(same, func(a, b Record) int { return a.Completed.Compare(b.Completed) })
	}
	return &Index{records: found}
}

// People are those who have a record of one of the courses, whether it counts or not, sorted.
func (x *Index) People(courses []string) []Person {
	if x == nil {
		return nil
	}
	seen := map[Person]struct{}{}
	for at := range x.records {
		if slices.Contains(courses, at.course) {
			seen[at.person] = struct{}{}
		}
	}
	found := make([]Person, 0, len(seen))
	for person := range seen {
		found = append(found, person)
	}
	slices.SortFunc(found, comparePeople)
	return found
}

func comparePeople(a, b Person) int {
	return cmp.Or(strings.Compare(a.Issuer, b.Issuer), strings.Compare(a.Subject, b.Subject))
}

// standing is how a person stands with one course.
type standing struct {
	// valid says that the training counts now, and ends that it once did and does no more.
	valid, ended bool
	// changes is when time alone changes valid; zero if it does not.
	changes time.Time
}

// look finds out how a person stands with a course. Records that follow each other without a gap are one time.
func (x *Index) look(person Person, course string, maxAge time.Duration, now time.Time) standing {
	var seen standing
	if x == nil {
		return seen
	}
	end := now
	for _, r := range x.records[key{person: person, course: course}] {
		until := r.until(maxAge)
		switch {
		case !until.IsZero() && !until.After(r.Completed):
			continue
		case r.Completed.After(end):
			if !seen.valid {
				seen.changes = r.Completed
			}
			return seen
		case until.IsZero():
			return standing{valid: true, ended: false}
		case until.After(end):
			end = until
			seen = standing{valid: true, changes: end}
		case !seen.valid:
			seen.ended = true
		}
	}
	return seen
}

// Valid names the courses that the person lacks at this instant, sorted and each once, and the earliest instant at which time alone changes that;
// zero if it does not. A course may have been completed at most maxAge ago; 0 is no limit.
func Valid(records *Index, person Person, courses []string, maxAge time.Duration, now time.Time) (missing []string, next time.Time) {
	for _, course := range distinct(courses) {
		seen := records.look(person, course, maxAge, now)
		if !seen.valid {
			missing = append(missing, course)
		}
		next = posture.Earliest(next, seen.changes)
	}
	return missing, next
}

func distinct(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
