// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package training

import (
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// FromObjects are the records that the API keeps.
func FromObjects(objects []v1alpha1.TrainingRecord) []Record {
	records := make([]Record, len(objects))
	for i := range objects {
		records[i] = FromSpec(objects[i].Spec)
	}
	return records
}

// FromSpec is the record of one object. Its evidence decides nothing, and is left out.
func FromSpec(spec v1alpha1.TrainingRecordSpec) Record {
	r := Record{Subject: spec.Subject, Issuer: spec.Issuer, Course: string(spec.Course), Completed: spec.Completed.Time}
	if spec.Expires != nil {
		r.Expires = spec.Expires.Time
	}
	return r
}

// Asked is what a LabWorkload asks for: an observation with courses, limit and people, still without records. A limit that is no length of time, which
// the API never lets in, lets nothing pass.
func Asked(spec v1alpha1.TrainingSpec) Observation {
	var asked Observation
	for _, course := range spec.Courses {
		asked.Courses = append(asked.Courses, string(course))
	}
	for _, person := range spec.Subjects {
		asked.People = append(asked.People, Person{Issuer: person.Issuer, Subject: person.Subject})
	}
	if spec.MaxAge != "" {
		maxAge, err := time.ParseDuration(string(spec.MaxAge))
		if err != nil || maxAge <= 0 {
			maxAge = -1
		}
		asked.MaxAge = maxAge
	}
	return asked
}

// With is the observation with the records of the cluster. Where nobody is named, it is about the people of the records.
func (o Observation) With(records *Index) Observation {
	o.Records = records
	if len(o.People) == 0 {
		o.People, o.FromRecords = records.People(o.Courses), true
	}
	return o
}
