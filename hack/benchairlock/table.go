// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// column is one measure: the lower, the better.
type column struct {
	name   string
	format string
	value  func(result) float64
}

var columns = []column{
	{"CPU s/GB", "%.2f", func(r result) float64 { return r.secondsPerGB }},
	{"CPU s/1,000 handshakes", "%.2f", func(r result) float64 { return r.secondsPer1000 }},
	{"added p50 us", "%.0f", func(r result) float64 { return microseconds(r.through50 - r.direct50) }},
	{"added p99 us", "%.0f", func(r result) float64 { return microseconds(r.through99 - r.direct99) }},
	{"KiB/idle connection", "%.1f", func(r result) float64 { return r.residentPer }},
	{"private KiB/idle connection", "%.1f", func(r result) float64 { return r.privatePer }},
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// printTable prints the medians, and how airlock stands to the others.
func printTable(out io.Writer, o options, all []contender, results map[string][]result) error {
	var text, rows strings.Builder
	fmt.Fprintf(&text, "%s\n%d rounds in turns, medians; both sides together; %d bytes over %d connections, %d handshakes, %d exchanges of %d bytes, %d idle connections\n",
		machine(), o.rounds, o.bytes, parallel, o.handshakes, o.exchanges, request, o.connections)
	rows.WriteByte('\t')
	for _, c := range columns {
		rows.WriteString(c.name + "\t")
	}
	rows.WriteString("MB/s\tresident MiB, empty\t\n")
	medians := map[string][]float64{}
	for _, one := range all {
		fmt.Fprintf(&text, "%s: %s\n", one.name, one.version)
		rows.WriteString(one.name + "\t")
		for _, c := range columns {
			middle := median(results[one.name], c.value)
			medians[one.name] = append(medians[one.name], middle)
			fmt.Fprintf(&rows, c.format+"\t", middle)
		}
		fmt.Fprintf(&rows, "%.0f\t%.0f\t\n", median(results[one.name], func(r result) float64 { return r.megabytesPerSecond }),
			median(results[one.name], func(r result) float64 { return r.residentEmpty })/1024)
	}
	for _, pair := range [][2]string{{"airlock", "stunnel"}, {"airlock", "haproxy"}, {"airlock-x25519", "haproxy"}} {
		one, other := pair[0], pair[1]
		if medians[other] == nil || medians[one] == nil {
			continue
		}
		rows.WriteString(one + "/" + other + "\t")
		for i := range columns {
			fmt.Fprintf(&rows, "%.2f\t", medians[one][i]/medians[other][i])
		}
		rows.WriteString("\t\t\n")
	}
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	if _, err := io.WriteString(table, rows.String()); err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i, c := range columns {
		text.WriteString(judge(c.name, "stunnel", 1, medians, i))
		text.WriteString(judge(c.name, "haproxy", 1.2, medians, i))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// judge says where an aim is missed.
func judge(measure, other string, aim float64, medians map[string][]float64, i int) string {
	if medians[other] == nil || medians["airlock"] == nil {
		return ""
	}
	if ratio := medians["airlock"][i] / medians[other][i]; ratio > aim {
		return fmt.Sprintf("MISSED: %s is %.2f times that of %s; the aim is %.1f\n", measure, ratio, other, aim)
	}
	return ""
}

func median(results []result, value func(result) float64) float64 {
	values := make([]float64, 0, len(results))
	for _, r := range results {
		values = append(values, value(r))
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// machine is what it ran on.
func machine() string {
	model, load := "unknown processor", "?"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	return fmt.Sprintf("%d x %s, %s, load %s", runtime.NumCPU(), model, runtime.Version(), load)
}

// firstLine is what a program says of its version.
func firstLine(program, flag string) string {
	output, err := exec.Command(program, flag).CombinedOutput() //nolint:noctx // It prints its version and ends.
	if err != nil && len(output) == 0 {
		return "?"
	}
	for line := range strings.Lines(string(output)) {
		if line = strings.TrimSpace(line); strings.ContainsAny(line, "0123456789") {
			return line
		}
	}
	return "?"
}
