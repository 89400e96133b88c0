// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"io"
	"slices"
	"strings"
)

// Balance reads the journals of all servers and says which control IDs with a prefix were processed more than once, and how many were processed.
func Balance(prefix string, journals ...io.Reader) (processed int, doubled []string, err error) {
	count := map[string]int{}
	for _, journal := range journals {
		lines := bufio.NewScanner(journal)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				count[lines.Text()]++
			}
		}
		if err := lines.Err(); err != nil {
			return 0, nil, err
		}
	}
	for controlID, times := range count {
		if times > 1 {
			doubled = append(doubled, controlID)
		}
	}
	slices.Sort(doubled)
	return len(count), doubled, nil
}
