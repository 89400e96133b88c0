// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAHoldIsAnnouncedOnceAndWaitsForItsImages(t *testing.T) {
	var w waiting
	if w.holds("pathology") || w.of("lis:1") != nil {
		t.Error("something is held before anything was")
	}
	if !w.begins("pathology", "a") || w.begins("pathology", "a") || !w.begins("pathology", "b") || !w.begins("chemistry", "a") {
		t.Error("each root begins once in its namespace")
	}
	w.set("pathology", []string{"lis:1", "lis:2"})
	w.set("chemistry", nil)
	if diff := cmp.Diff([]string{"pathology"}, w.of("lis:2")); diff != "" || !w.holds("chemistry") {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.forget("pathology")
	if w.holds("pathology") || w.of("lis:2") != nil || !w.begins("pathology", "a") {
		t.Error("what a namespace held is remembered after it was forgotten")
	}
}
