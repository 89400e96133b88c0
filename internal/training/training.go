// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	// MaxBytes is how large a file may be. Of a larger one nothing is read: half a file must not look like a whole one.
	MaxBytes = 10 << 20
	// MaxRecords is how many lines or objects a file may have. Of a file with more nothing is kept.
	MaxRecords = 100_000
	// MaxProblems is how many problems are told apart; the last one says how many more there are.
	MaxProblems = 1000
)

// Format is how a file is written.
type Format string

const (
	// CSV is RFC 4180 with a header, separated by commas or semicolons.
	CSV Format = "csv"
	// JSON is a list of objects, or an object with such a list as records.
	JSON Format = "json"
)

// Record is one completed course of one person.
type Record struct {
	// Subject and Issuer name the person as an identity provider does.
	Subject, Issuer string
	// Course is the identifier of the course.
	Course string
	// Completed is when, in UTC.
	Completed time.Time
	// Expires is from when on it counts no more, in UTC; zero if it has no end of its own.
	Expires time.Time
	// Evidence is a link to the proof; may be empty.
	Evidence string
}

// Problem is something in a file that is not as it has to be. It repeats nothing of what the file says about people.
type Problem struct {
	// Line is where, counted from 1: the line of a CSV record or of the beginning of a JSON object. 0 is the file as a whole.
	Line int
	// Field is the column or key, such as completed; empty if it is about the line as a whole.
	Field string
	// Text says what is wrong and what would be right.
	Text string
}

// String is the problem as one line for a person.
func (p Problem) String() string {
	var where []string
	if p.Line > 0 {
		where = append(where, fmt.Sprintf("line %d", p.Line))
	}
	if p.Field != "" {
		where = append(where, p.Field)
	}
	return strings.Join(append(where, p.Text), ": ")
}

// Read reads a file. Records are sorted by issuer, subject and course, one of each: the one that expires last, then the one that was completed last. The
// order of the lines decides nothing, and reading a file twice gives the same. Problems are in the order of the file.
func Read(source io.Reader, format Format) ([]Record, []Problem) {
	text, err := io.ReadAll(io.LimitReader(source, MaxBytes+1))
	switch {
	case err != nil:
		return nil, []Problem{{Text: fmt.Sprintf("cannot be read: %v", err)}}
	case len(text) > MaxBytes:
		return nil, []Problem{{Text: "is larger than 10 MiB: split it; nothing of it was read"}}
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return nil, []Problem{{Text: "is written in UTF-16: export it as UTF-8"}}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var read collector
	switch format {
	case CSV:
		readCSV(text, &read)
	case JSON:
		readJSON(text, &read)
	default:
		read.problem(0, "", "has a format that is not known: csv and json are")
	}
	return read.result()
}

// later says whether a stands before b where both are of one person and course. It is a total order, so that the order of lines takes no part.
func later(a, b Record) bool {
	switch {
	case !a.Expires.Equal(b.Expires):
		return a.Expires.IsZero() || !b.Expires.IsZero() && a.Expires.After(b.Expires)
	case !a.Completed.Equal(b.Completed):
		return a.Completed.After(b.Completed)
	default:
		return a.Evidence > b.Evidence
	}
}

// Name is the name of the record's object. It is made of issuer, subject and course, so that an import that is repeated writes the same objects. It hides
// nothing from whoever can guess the three.
func (r Record) Name() string {
	hash := sha256.New()
	for _, part := range []string{r.Issuer, r.Subject, r.Course} {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write([]byte(part))
	}
	const half = sha256.Size / 2
	return "training-" + hex.EncodeToString(hash.Sum(nil)[:half])
}

// Object is the record as the API has it.
func (r Record) Object() *v1alpha1.TrainingRecord {
	object := &v1alpha1.TrainingRecord{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TrainingRecord"},
		ObjectMeta: metav1.ObjectMeta{Name: r.Name()},
		Spec: v1alpha1.TrainingRecordSpec{
			Subject: r.Subject, Issuer: r.Issuer, Course: v1alpha1.Course(r.Course), Completed: metav1.NewTime(r.Completed), Evidence: r.Evidence,
		},
	}
	if !r.Expires.IsZero() {
		expires := metav1.NewTime(r.Expires)
		object.Spec.Expires = &expires
	}
	return object
}

// collector takes what is found in a file.
type collector struct {
	records  map[[3]string]Record
	problems []Problem
	more     int
	// entries are the lines or objects so far, good or not.
	entries int
}

// full counts one more entry and says whether it is one too many.
func (c *collector) full() bool {
	c.entries++
	return c.entries > MaxRecords
}

func (c *collector) problem(line int, field, text string) {
	if len(c.problems) < MaxProblems-1 {
		c.problems = append(c.problems, Problem{Line: line, Field: field, Text: text})
		return
	}
	c.more++
}

// refuse drops everything: the file is not one.
func (c *collector) refuse(line int, text string) {
	*c = collector{problems: []Problem{{Line: line, Text: text}}}
}

// take checks one entry and keeps it if it is a record.
func (c *collector) take(line int, fields entry) {
	record, wrong := fields.record()
	for _, w := range wrong {
		c.problem(line, w.Field, w.Text)
	}
	if len(wrong) > 0 {
		return
	}
	if c.records == nil {
		c.records = map[[3]string]Record{}
	}
	at := [3]string{record.Issuer, record.Subject, record.Course}
	if kept, found := c.records[at]; !found || later(record, kept) {
		c.records[at] = record
	}
}

func (c *collector) result() ([]Record, []Problem) {
	records := make([]Record, 0, len(c.records))
	for _, r := range c.records {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int {
		return slices.Compare([]string{a.Issuer, a.Subject, a.Course}, []string{b.Issuer, b.Subject, b.Course})
	})
	if c.more > 0 {
		c.problems = append(c.problems, Problem{Text: fmt.Sprintf("has %d more problems: mend these first", c.more)})
	}
	return records, c.problems
}
