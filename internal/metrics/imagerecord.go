// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// Results of ImageRecordWrites.
const (
	// ImageRecordWritten: the record is new.
	ImageRecordWritten = "written"
	// ImageRecordKnown: another replica has written it.
	ImageRecordKnown = "known"
	// ImageRecordFailed: one attempt has failed and is made again.
	ImageRecordFailed = "failed"
	// ImageRecordRefused: the API server takes no such record.
	ImageRecordRefused = "refused"
	// ImageRecordQueueFull: too many wait to be written.
	ImageRecordQueueFull = "queue_full"
	// ImageRecordLimit: the cluster has as many records as it may.
	ImageRecordLimit = "limit"
	// ImageRecordNotCarried: the API has no room for what the image says.
	ImageRecordNotCarried = "not_carried"
)

// ImageRecordWrites counts what became of images that were to be recorded.
var ImageRecordWrites = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "labguard_image_record_writes_total",
	Help: "Images that were to be recorded, by result (written, known, failed, refused, queue_full, limit, not_carried).",
}, []string{"result"})
