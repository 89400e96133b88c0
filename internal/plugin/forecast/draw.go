// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"time"

	"github.com/labguard/labguard/internal/plugin/tree"
)

// soon is what is told in another colour.
const soon = 7 * 24 * time.Hour

// Header are the titles of the columns of Rows.
func Header() []string { return []string{"WHEN", "AT", "LABWORKLOAD", "WHAT", "OF", "NOTE"} }

// Rows are changes as rows of a table.
func Rows(changes []Change, now time.Time) [][]tree.Span {
	rows := make([][]tree.Span, 0, len(changes))
	for _, one := range changes {
		mark := tree.Unsure
		switch {
		case one.Harmless:
			mark = tree.Faint
		case one.At.Sub(now) < soon:
			mark = tree.Bad
		}
		rows = append(rows, []tree.Span{
			{Text: tree.Away(one.At, now)}, {Text: one.At.Format(time.DateOnly)}, {Text: one.Namespace + "/" + one.LabWorkload}, {Text: string(one.What), Mark: mark},
			{Text: one.Of}, {Text: one.Note},
		})
	}
	return rows
}
