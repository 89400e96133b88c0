// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// What labguard is to live up to.
const (
	aimRatio = 1.15
	aimCPU   = 300 * time.Millisecond
	aimMiB   = 64
)

// key is one line of the table.
type key struct {
	namespace   string
	concurrency int
}

// series is what was measured for one line.
type series struct {
	took []time.Duration
	cpu  time.Duration
}

type measurement struct {
	series map[key]*series
	// idle is the memory of the manager before the first measured request, busy after the last one.
	idle, busy memory
}

func (m *measurement) add(of key, took []time.Duration, cpu time.Duration) {
	if m.series[of] == nil {
		m.series[of] = &series{}
	}
	m.series[of].took = append(m.series[of].took, took...)
	m.series[of].cpu += cpu
}

// quantile is the latency that a share of the requests did not exceed.
func (s *series) quantile(share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s.took))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func (s *series) mean() time.Duration {
	var sum time.Duration
	for _, one := range s.took {
		sum += one
	}
	return sum / time.Duration(len(s.took))
}

// cpuPerThousand is the CPU time for 1,000 requests, each of which calls both webhooks.
func (s *series) cpuPerThousand() time.Duration {
	return s.cpu * 1000 / time.Duration(len(s.took))
}

func (m *measurement) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		for _, cell := range cells {
			_, _ = fmt.Fprintf(table, "%v\t", cell) // Flush returns the error
		}
		_, _ = fmt.Fprintln(table)
	}
	row("at a time", "webhook", "requests", "p50 ms", "p95 ms", "mean ms", "p50/none", "p50/no-op", "mean/no-op", "CPU s/1000")
	words := map[string]string{plain: "none", noop: "no-op", governed: "labguard"}
	for _, concurrency := range concurrencies {
		without, idle := m.series[key{plain, concurrency}], m.series[key{noop, concurrency}]
		for _, namespace := range variants {
			one := m.series[key{namespace, concurrency}]
			cells := []any{
				concurrency, words[namespace], len(one.took), milliseconds(one.quantile(0.5)), milliseconds(one.quantile(0.95)), milliseconds(one.mean()),
				ratio(one.quantile(0.5), without.quantile(0.5)), ratio(one.quantile(0.5), idle.quantile(0.5)), ratio(one.mean(), idle.mean()),
				fmt.Sprintf("%.2f", one.cpuPerThousand().Seconds()),
			}
			if namespace == plain {
				cells = append(cells[:7], "-", "-", "-")
			}
			row(cells...)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return m.printAims(w)
}

// printAims prints the worst of the two concurrencies beside what is aimed at.
func (m *measurement) printAims(w io.Writer) error {
	var worst float64
	var cpu time.Duration
	for _, concurrency := range concurrencies {
		ours, other := m.series[key{governed, concurrency}], m.series[key{noop, concurrency}]
		worst = max(worst, float64(ours.quantile(0.5))/float64(other.quantile(0.5)))
		cpu = max(cpu, ours.cpuPerThousand())
	}
	_, err := fmt.Fprintf(w, "\nlabguard/no-op at p50: %.2f (aim %.2f)\nCPU of the manager: %.2f s per 1,000 requests (aim %.2f)\n"+
		"resident memory of the manager: %d MiB before, %d MiB after, %d MiB at most (aim %d); %d MiB of it is not the program itself\n",
		worst, aimRatio, cpu.Seconds(), aimCPU.Seconds(), m.idle.now>>10, m.busy.now>>10, m.busy.peak>>10, aimMiB, m.busy.anonymous>>10)
	if err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", float64(a)/float64(b)) }
