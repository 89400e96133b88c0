// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"time"

	"github.com/labguard/labguard/internal/plugin/gate"
)

// Earlier says by what an image is judged where no registry tells what its tag means now: a certain answer from old evidence.
type Earlier struct {
	Image string `json:"image"`
	// Basis is where it is known from that the tag meant the digest.
	Basis gate.Basis `json:"basis"`
	// At is when the tag meant it, as far as that is recorded.
	At *time.Time `json:"at,omitempty"`
}

// words are what a person reads.
func (e *Earlier) words() string {
	on := ""
	if e.At != nil {
		on = " on " + e.At.Format(time.DateOnly)
	}
	switch e.Basis {
	case gate.BasisAdmission:
		return "judged by what its tag meant" + on + ", when it was let in"
	case gate.BasisRecord:
		return "judged by what its tag meant" + on + ", when labguard first read it"
	default:
		return "judged by what labguard last saw its tag mean"
	}
}

// earlier are the images of an object that decide and are judged by what their tags meant some time ago.
func (w *World) earlier(q *question) []Earlier {
	if len(q.governing) == 0 {
		return nil
	}
	var all []Earlier
	asked := q.write.Question(q.governing, q.write.Admitted())
	for _, query := range q.write.Unknown(&asked) {
		_, basis := w.told(q.in, query)
		one := Earlier{Image: query.Reference, Basis: basis}
		switch basis {
		case gate.BasisAdmission:
			one.At = q.in.letIn(query.Reference)
		case gate.BasisRecord:
			if record := w.tags[query.Reference]; record != nil {
				one.At = instant(record.Spec.FirstSeen.Time)
			}
		case gate.BasisStatus:
		default:
			continue
		}
		all = append(all, one)
	}
	return all
}

// letIn is when a reference was let in last with a digest; nil if it never was.
func (s *space) letIn(reference string) *time.Time {
	var last time.Time
	for i := range s.Records {
		for _, image := range s.Records[i].Spec.Admitted {
			if image.Reference == reference && image.Digest != "" && image.Time.After(last) {
				last = image.Time.Time
			}
		}
	}
	return instant(last)
}

func instant(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// dated says of findings about an image how old the evidence is.
func (r *Result) dated(findings []Finding) []Finding {
	for i := range findings {
		for j := range r.Earlier {
			if findings[i].Image == r.Earlier[j].Image && findings[i].Rule != RuleMutableTag {
				findings[i].Message += " It is " + r.Earlier[j].words() + "."
			}
		}
	}
	return findings
}

// earlier is how many objects are judged by what a tag meant some time ago.
func (r *Report) earlier() int {
	count := 0
	for i := range r.Results {
		if len(r.Results[i].Earlier) > 0 {
			count++
		}
	}
	return count
}
