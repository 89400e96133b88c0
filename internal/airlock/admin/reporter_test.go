// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"testing"

	"github.com/labguard/labguard/internal/airlock/report"
)

// What is left out must not look as if nobody stood on its root.
func TestAReportThatIsCutSaysSoAndNamesEachRoot(t *testing.T) {
	var all []report.Connections
	for i := range report.MaxConnections + 100 {
		all = append(all, report.Connections{Peer: fmt.Sprintf("peer-%04d", i), Root: "old", Count: 1})
	}
	all = append(all, report.Connections{Peer: "peer-last", Root: "fresh", Count: 1})
	kept, leftOut := named(all)
	if len(kept) != report.MaxConnections || leftOut != 101 {
		t.Errorf("%d named and %d left out, want %d and 101", len(kept), leftOut, report.MaxConnections)
	}
	roots := map[string]bool{}
	for _, one := range kept {
		roots[one.Root] = true
	}
	if !roots["old"] || !roots["fresh"] {
		t.Errorf("roots %v, want both", roots)
	}
	if kept, leftOut := named(all[:3]); len(kept) != 3 || leftOut != 0 {
		t.Errorf("of three, %d named and %d left out", len(kept), leftOut)
	}
}
