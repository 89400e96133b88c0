// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/training"
)

// records keeps the training records by person. A change costs the index of one person, which is made again when that person is asked about next: an
// import of 10,000 records indexes nobody who does not ask.
type records struct {
	// synced says whether all records were seen; nil where nobody watches.
	synced toolscache.ResourceEventHandlerRegistration

	lock sync.Mutex
	// whose are the people by the name of the object.
	whose map[string]training.Person
	held  map[training.Person]*holding
}

// holding is what one person has. The index is nil since the last change.
type holding struct {
	records map[string]training.Record
	index   *training.Index
}

func newRecords() *records {
	return &records{whose: map[string]training.Person{}, held: map[training.Person]*holding{}}
}

func (r *records) watch(ctx context.Context, informers cache.Informers) error {
	informer, err := informers.GetInformer(ctx, &v1alpha1.TrainingRecord{})
	if err != nil {
		return fmt.Errorf("watch training records: %w", err)
	}
	r.synced, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: r.put, UpdateFunc: func(_, object any) { r.put(object) }, DeleteFunc: r.remove,
	})
	if err != nil {
		return fmt.Errorf("watch training records: %w", err)
	}
	return nil
}

func (r *records) put(object any) {
	stored, fine := object.(*v1alpha1.TrainingRecord)
	if !fine {
		return
	}
	record := training.FromSpec(stored.Spec)
	person := training.Person{Issuer: record.Issuer, Subject: record.Subject}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.drop(stored.Name)
	one := r.held[person]
	if one == nil {
		one = &holding{records: map[string]training.Record{}}
		r.held[person] = one
	}
	one.records[stored.Name], one.index = record, nil
	r.whose[stored.Name] = person
}

// remove forgets a deleted record, of which there may be only the key.
func (r *records) remove(object any) {
	name, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.drop(name)
}

func (r *records) drop(name string) {
	person, found := r.whose[name]
	if !found {
		return
	}
	delete(r.whose, name)
	one := r.held[person]
	delete(one.records, name)
	one.index = nil
	if len(one.records) == 0 {
		delete(r.held, person)
	}
}

// missing gives the courses that somebody lacks at an instant; nil while not all records are known.
func (r *records) missing(now time.Time) func(issuer, subject string, courses *access.Courses) []string {
	if r.synced == nil || !r.synced.HasSynced() {
		return nil
	}
	return func(issuer, subject string, courses *access.Courses) []string {
		person := training.Person{Issuer: issuer, Subject: subject}
		lacking, _ := training.Valid(r.indexOf(person), person, courses.Names, courses.MaxAge, now)
		return lacking
	}
}

// indexOf is the index of one person; nil, which is one without records, for whoever has none.
func (r *records) indexOf(person training.Person) *training.Index {
	r.lock.Lock()
	defer r.lock.Unlock()
	one := r.held[person]
	if one == nil {
		return nil
	}
	if one.index == nil {
		all := make([]training.Record, 0, len(one.records))
		for _, record := range one.records {
			all = append(all, record)
		}
		one.index = training.NewIndex(all)
	}
	return one.index
}
