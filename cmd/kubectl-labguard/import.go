// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/training"
)

const (
	// writers is how many records are written at once.
	writers = 4
	// maxRefusals is how many records are named that the API server has refused.
	maxRefusals = 20
)

// recordStore is where records are kept.
type recordStore interface {
	// list gives what is there, by name.
	list(ctx context.Context) (map[string]v1alpha1.TrainingRecordSpec, error)
	// apply makes a record be there as it is.
	apply(ctx context.Context, record training.Record, dryRun bool) error
}

// tally counts records.
type tally struct{ created, changed, unchanged, refused, left int }

func (t *tally) add(other tally) {
	t.created += other.created
	t.changed += other.changed
	t.unchanged += other.unchanged
	t.refused += other.refused
	t.left += other.left
}

// imported is what an import has done.
type imported struct {
	// courses counts records by course.
	courses map[string]tally
	// shorter is how many changed records count for a shorter time than before.
	shorter int
	// refusals name the first records that the API server refused, and why.
	refusals []refusal
	// stopped is why records are left that were not tried.
	stopped error
}

// refusal is a record that the API server did not take.
type refusal struct{ name, why string }

// refusedFields are the fields that the API server does not take. Its message repeats their values, which are about a person.
func refusedFields(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return "it is invalid"
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		fields = append(fields, fmt.Sprintf("%s: %s", cause.Field, cause.Type))
	}
	slices.Sort(fields)
	return strings.Join(slices.Compact(fields), ", ")
}

// all counts the records of all courses.
func (i imported) all() (sum tally) {
	for _, course := range i.courses {
		sum.add(course)
	}
	return sum
}

// importRecords writes the records that are not there as they are. One that is refused does not take the others with it; an error that will meet every
// record ends the import.
func importRecords(ctx context.Context, store recordStore, records []training.Record, dryRun bool, report *progress) (imported, error) {
	there, err := store.list(ctx)
	if err != nil {
		return imported{}, err
	}
	run := &importRun{imported: imported{courses: map[string]tally{}}, report: report}
	var work []change
	for _, record := range records {
		var before *v1alpha1.TrainingRecordSpec
		if spec, found := there[record.Name()]; found {
			before = &spec
		}
		c := change{Record: record, how: record.Differs(before), shorter: before != nil && record.Shortens(*before)}
		if c.how == training.Unchanged {
			run.count(c, tally{unchanged: 1})
			continue
		}
		work = append(work, c)
	}
	run.write(ctx, store, work, dryRun)
	report.end()
	slices.SortFunc(run.refusals, func(a, b refusal) int { return strings.Compare(a.name, b.name) })
	return run.imported, nil
}

// change is a record that has to be written.
type change struct {
	training.Record

	how     training.Difference
	shorter bool
}

func (c change) done() tally {
	if c.how == training.Created {
		return tally{created: 1}
	}
	return tally{changed: 1}
}

// importRun is an import while it runs.
type importRun struct {
	imported

	report *progress
	lock   sync.Mutex
	done   int
}

// count counts one record.
func (r *importRun) count(c change, what tally) {
	sum := r.courses[c.Course]
	sum.add(what)
	r.courses[c.Course] = sum
}

// write writes with several writers at once.
func (r *importRun) write(ctx context.Context, store recordStore, work []change, dryRun bool) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	queue := make(chan change)
	var busy sync.WaitGroup
	for range writers {
		busy.Go(func() {
			for c := range queue {
				// What was taken from the queue before the end is left as all the others are.
				err := ctx.Err()
				if err == nil {
					err = store.apply(ctx, c.Record, dryRun)
				}
				if r.written(c, err, len(work)) {
					stop()
				}
			}
		})
	}
	for _, c := range work {
		queue <- c
	}
	close(queue)
	busy.Wait()
}

// written counts what has become of a record. True says that the others will fare no better.
func (r *importRun) written(c change, err error, all int) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	switch {
	case err == nil:
		r.done++
		r.count(c, c.done())
		if c.shorter {
			r.shorter++
		}
		r.report.at(r.done, all)
		return false
	case apierrors.IsInvalid(err):
		r.count(c, tally{refused: 1})
		if len(r.refusals) < maxRefusals {
			r.refusals = append(r.refusals, refusal{name: c.Name(), why: refusedFields(err)})
		}
		return false
	default:
		r.count(c, tally{left: 1})
		if r.stopped == nil {
			r.stopped = err
		}
		return true
	}
}
