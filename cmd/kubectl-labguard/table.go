// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/labguard/labguard/internal/plugin/tree"
)

// writeTable writes rows under a header in columns, as kubectl does. What others have written is made visible.
func writeTable(out io.Writer, header []string, rows [][]string) error {
	columns := printers.GetNewTabWriter(out)
	for _, row := range append([][]string{header}, rows...) {
		cells := make([]string, 0, len(row))
		for _, cell := range row {
			if cell == "" {
				cell = "-"
			}
			cells = append(cells, visible(cell))
		}
		if _, err := fmt.Fprintln(columns, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return columns.Flush()
}

// visible is a text in which nothing commands a terminal or turns the direction of writing: user names and names of objects come from others.
func visible(text string) string {
	return tree.Visible(text)
}

// visibleLines is visible for a text that may have several lines.
func visibleLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\t", "  "), "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// instant is a time as everybody reads it, everywhere.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// several is a number with its noun.
func several(count int, one, more string) string {
	if count == 1 {
		return "1 " + one
	}
	return strconv.Itoa(count) + " " + more
}
