// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people_test

import (
	"testing"

	"github.com/labguard/labguard/internal/admission/people"
	"github.com/labguard/labguard/internal/desired/access"
)

// TestTheAPIServerAsksWhereTheHandlersAre: neither of the two packages may import the other.
func TestTheAPIServerAsksWhereTheHandlersAre(t *testing.T) {
	for asked, answered := range map[string]string{access.ValidatePath: people.ValidatePath, access.ObservePath: people.BreakGlassPath} {
		if asked != answered {
			t.Errorf("the API server asks at %s, and the handler is at %s", asked, answered)
		}
	}
}
