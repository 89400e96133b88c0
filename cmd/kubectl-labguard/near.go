// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
)

// near are the names that somebody may have meant, at most three.
func near(wrong string, names []string) []string {
	var found []string
	for _, name := range names {
		part := len(wrong) > 1 && (strings.Contains(name, wrong) || strings.Contains(wrong, name) && len(name) > 1)
		shorter := min(len(wrong), len(name))
		if by := distance(wrong, name); part || by < shorter && by <= max(2, shorter/3) {
			found = append(found, name)
		}
	}
	slices.SortFunc(found, func(a, b string) int {
		if by := distance(wrong, a) - distance(wrong, b); by != 0 {
			return by
		}
		return strings.Compare(a, b)
	})
	return found[:min(len(found), 3)]
}

// suggest is the end of a sentence that names them.
func suggest(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": did you mean " + strings.Join(names, " or ") + "?"
}

// distance is how many letters have to be changed, added or left out to make one name of another (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
