// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate_test

import (
	"slices"
	"testing"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
)

func TestWhatNobodyHasReadIsAGuessUnlessAnotherImageDecides(t *testing.T) {
	t.Parallel()
	unread := gate.Image{Reference: "unread", Answer: posture.ImageUnknown, Reason: v1alpha1.ReasonNotResolved}
	undated := gate.Image{Reference: "undated", Answer: posture.ImageUnknown, Reason: v1alpha1.ReasonImplausibleDate}
	stale, fresh := gate.Image{Reference: "stale", Answer: posture.ImageStale}, gate.Image{Reference: "fresh", Answer: posture.ImageFresh}
	admitted := unread
	admitted.Admitted = v1alpha1.AdmittedFresh
	for name, one := range map[string]struct {
		verdict gate.Verdict
		held    bool
		images  []gate.Image
		want    []string
	}{
		"it is warned of":                       {verdict: gate.Warns, images: []gate.Image{fresh, unread}, want: []string{"unread"}},
		"it is all that stops":                  {verdict: gate.Refuses, images: []gate.Image{unread, fresh}, want: []string{"unread"}},
		"a stale one stops anyway":              {verdict: gate.Refuses, images: []gate.Image{unread, stale}},
		"one that nobody can date stops":        {verdict: gate.Refuses, images: []gate.Image{undated, unread}},
		"nobody knows, wherever they ask":       {verdict: gate.Warns, images: []gate.Image{undated}},
		"it was let in":                         {verdict: gate.Warns, images: []gate.Image{admitted}},
		"nothing asks for its age":              {verdict: gate.RollsOut, images: []gate.Image{unread}},
		"it is held now, and that is an answer": {verdict: gate.Holds, held: true, images: []gate.Image{unread}},
	} {
		found := gate.Explanation{Now: gate.Outcome{Verdict: one.verdict}, Held: one.held, Images: one.images}
		if got := found.Guessed(); !slices.Equal(got, one.want) {
			t.Errorf("%s: %q, want %q", name, got, one.want)
		}
	}
}
