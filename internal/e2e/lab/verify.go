// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Result says what went wrong: nothing, if both are empty.
type Result struct {
	// Lost were acknowledged and never processed, Doubled processed more than once.
	Lost, Doubled []string
	// Processed is how many different messages were.
	Processed int
}

// Clean says whether nothing was lost or doubled.
func (r Result) Clean() bool { return len(r.Lost)+len(r.Doubled) == 0 }

// String is one line for a test.
func (r Result) String() string {
	return fmt.Sprintf("%d processed, %d lost %v, %d doubled %v", r.Processed, len(r.Lost), first(r.Lost), len(r.Doubled), first(r.Doubled))
}

func first(ids []string) []string { return ids[:min(len(ids), 10)] }

// Verify compares the logs of all servers, of pods that are gone too, with the balances of all clients.
func Verify(logs []io.Reader, balances ...Balance) (Result, error) {
	times := map[string]int{}
	for _, log := range logs {
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			word, id, _ := strings.Cut(lines.Text(), " ")
			if word == processedWord || word == doubledWord {
				times[id]++
			}
		}
		if err := lines.Err(); err != nil {
			return Result{}, fmt.Errorf("read the log of a server: %w", err)
		}
	}
	result := Result{Processed: len(times)}
	for id, n := range times {
		if n > 1 {
			result.Doubled = append(result.Doubled, id)
		}
	}
	for _, balance := range balances {
		for connection, last := range balance.Last {
			for number := 1; number <= last; number++ {
				if id := fmt.Sprintf("%s-%d-%d", balance.Prefix, connection, number); times[id] == 0 {
					result.Lost = append(result.Lost, id)
				}
			}
		}
	}
	slices.Sort(result.Doubled)
	slices.Sort(result.Lost)
	return result, nil
}
