// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// MaxLine is how many bytes a line may have. An event holds the object that was written and the answer at most; the API server takes 3 MiB of either.
	MaxLine = 16 << 20
	// MaxUses is how many uses are kept.
	MaxUses = 100_000
	// MaxProblems is how many problems are told apart.
	MaxProblems = 20
)

// Query says what is looked for.
type Query struct {
	// Group is the group of the emergency.
	Group string
	// Namespace is the only namespace that counts; empty for all.
	Namespace string
	// Since is the first instant that counts; zero for all.
	Since time.Time
}

// Use is one request of a member of the group.
type Use struct {
	// At is when it arrived, in UTC.
	At time.Time
	// User is whom admission saw; Impersonator is who has impersonated that user, if anybody.
	User, Impersonator string
	// Verb, Namespace and Object are what was asked for, such as create, pathology and pods/lis-0/exec.
	Verb, Namespace, Object string
	// Code is the status of the answer; 0 if the log has none.
	Code int
	// DryRun says that nothing was to be stored.
	DryRun bool
	// Seen says that a webhook of labguard has noted the request in the audit event.
	Seen bool
}

func (u Use) texts() []string { return []string{u.User, u.Impersonator, u.Namespace, u.Object, u.Verb} }

// Problem is a line that could not be read.
type Problem struct {
	File string
	Line int
	Text string
}

// String is the problem as one line for a person.
func (p Problem) String() string { return fmt.Sprintf("%s: line %d %s", p.File, p.Line, p.Text) }

// Finder reads files, in any order, and keeps the uses in them.
type Finder struct {
	query    Query
	uses     map[request]Use
	problems []Problem
	unread   int
	events   int
	dropped  int
}

// NewFinder is a Finder that has read nothing yet.
func NewFinder(query Query) *Finder { return &Finder{query: query, uses: map[request]Use{}} }

// Events is how many events were read.
func (f *Finder) Events() int { return f.events }

// Dropped is how many events were about uses beyond MaxUses, which are not kept.
func (f *Finder) Dropped() int { return f.dropped }

// Problems are the first lines that could not be read, and how many there are in all.
func (f *Finder) Problems() (first []Problem, all int) { return f.problems, f.unread }

// Uses are what was found, by time.
func (f *Finder) Uses() []Use {
	found := make([]Use, 0, len(f.uses))
	for _, use := range f.uses {
		found = append(found, use)
	}
	slices.SortFunc(found, func(a, b Use) int {
		return cmp.Or(a.At.Compare(b.At), slices.Compare(a.texts(), b.texts()), cmp.Compare(a.Code, b.Code))
	})
	return found
}

// Read reads a file to its end.
func (f *Finder) Read(name string, source io.Reader) error {
	reader := bufio.NewReaderSize(source, 64<<10)
	for number := 1; ; number++ {
		line, whole, err := readLine(reader)
		ended := errors.Is(err, io.EOF)
		switch {
		case err != nil && !ended:
			return fmt.Errorf("read %s: %w", name, err)
		case !whole:
			f.problem(name, number, "is longer than 16 MiB")
		case len(bytes.TrimSpace(line)) > 0:
			f.take(name, number, line)
		}
		if ended {
			return nil
		}
	}
}

// readLine reads a line of any length and keeps at most MaxLine bytes of it; false says that it has more.
func readLine(reader *bufio.Reader) (line []byte, whole bool, err error) {
	whole = true
	for {
		part, err := reader.ReadSlice('\n')
		if whole = whole && len(line)+len(part) <= MaxLine; whole {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, whole, err
		}
	}
}

func (f *Finder) problem(name string, number int, text string) {
	f.unread++
	if len(f.problems) < MaxProblems {
		f.problems = append(f.problems, Problem{File: name, Line: number, Text: text})
	}
}

// take keeps a use. A request has an event for each stage, and what a later one knows counts: the first does not know yet who is impersonated.
func (f *Finder) take(name string, number int, line []byte) {
	e, fault := parse(line)
	if fault != "" {
		f.problem(name, number, fault)
		return
	}
	f.events++
	found, is := e.use(f.query)
	before, known := f.uses[e.request()]
	switch {
	case !is && known && e.ImpersonatedUser != nil:
		delete(f.uses, e.request())
	case !is:
	case !known && len(f.uses) == MaxUses:
		f.dropped++
	default:
		found.Seen = found.Seen || before.Seen
		found.Code = cmp.Or(codeOf(e), before.Code, found.Code)
		f.uses[e.request()] = found
	}
}
