// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apivalidation

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// RolloutRecords are written by labguard alone. The schema is what stands between a bug of it and a set of admitted images that
// nobody can read.
func TestRolloutRecord(t *testing.T) {
	const admitted = "{reference: 'r.example/lis:1', time: '2026-11-23T00:00:00Z', reason: Fresh}"
	c := client(t, "rolloutrecords")
	record := func(t *testing.T, spec string) map[string]any {
		t.Helper()
		var fields map[string]any
		if err := yaml.Unmarshal([]byte(spec), &fields); err != nil {
			t.Fatalf("the test's own YAML: %v\n%s", err, spec)
		}
		return fields
	}
	for name, spec := range map[string]string{
		"a root and what it may run":    "{root: {kind: Deployment, name: lis}, admitted: [" + admitted + "]}",
		"a record without a root":       "{admitted: []}",
		"the record of the epoch":       "{epoch: {enforcedSince: '2026-11-23T00:00:00Z', proof: Proven}}",
		"an epoch that has not started": "{epoch: {}}",
		"an epoch with rollouts held":   "{epoch: {held: 2}}",
		"a root that is held":           "{root: {kind: Deployment, name: lis}, held: {since: '2026-11-23T00:00:00Z', images: " + list(10, "'r.example/lis:%d'") + "}}",
		"a root held for no image now":  "{root: {kind: Deployment, name: lis}, held: {since: '2026-11-23T00:00:00Z', images: []}}",
	} {
		t.Run("accepted: "+name, func(t *testing.T) {
			if _, err := create(t, c, object("RolloutRecord", record(t, spec))); err != nil {
				t.Error(err)
			}
		})
	}
	for name, want := range map[string]refusal{
		"an image without its reason":      {spec: "{admitted: [{reference: 'r.example/lis:1', time: '2026-11-23T00:00:00Z'}]}", field: "admitted[0].reason", says: "Required value"},
		"an image without its time":        {spec: "{admitted: [{reference: 'r.example/lis:1', reason: Fresh}]}", field: "admitted[0].time", says: "Required value"},
		"a reason that labguard has not":   {spec: "{admitted: [{reference: 'r.example/lis:1', time: '2026-11-23T00:00:00Z', reason: Liked}]}", field: "admitted[0].reason", says: "supported values"},
		"an image twice":                   {spec: "{admitted: [" + admitted + ", " + admitted + "]}", field: "admitted[1]", says: "Duplicate value"},
		"a reference that is endless":      {spec: "{admitted: [{reference: '" + strings.Repeat("r", 1025) + "', time: '2026-11-23T00:00:00Z', reason: Fresh}]}", field: "admitted[0].reference", says: "may not be more than 1024"},
		"a hold without its beginning":     {spec: "{held: {images: ['r.example/lis:1']}}", field: "held.since", says: "Required value"},
		"a hold for an image without name": {spec: "{held: {since: '2026-11-23T00:00:00Z', images: ['']}}", field: "held.images[0]", says: "at least 1 chars long"},
		"a hold for an endless reference":  {spec: "{held: {since: '2026-11-23T00:00:00Z', images: ['" + strings.Repeat("r", 1025) + "']}}", field: "held.images[0]", says: "may not be more than 1024"},
		"a hold for too many images":       {spec: "{held: {since: '2026-11-23T00:00:00Z', images: " + list(11, "'r.example/lis:%d'") + "}}", field: "held.images", says: "must have at most 10 items"},
		"none held, and said so":           {spec: "{epoch: {held: 0}}", field: "epoch.held", says: "greater than or equal to 1"},
		"a root without its name":          {spec: "{root: {kind: Deployment}}", field: "root.name", says: "Required value"},
		"a field that there is not":        {spec: "{roots: []}", field: "roots", says: "unknown field"},
		"more images than anybody admits":  {spec: "{admitted: " + list(501, "{reference: 'r.example/lis:%d', time: '2026-11-23T00:00:00Z', reason: Fresh}") + "}", field: "admitted", says: "must have at most 500 items"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			refuses(t, c, object("RolloutRecord", record(t, want.spec)), want)
		})
	}
}
