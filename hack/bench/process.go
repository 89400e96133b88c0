// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tickNanoseconds is the unit of /proc/<pid>/stat: USER_HZ is 100 on every architecture that Go runs on (proc(5)).
const tickNanoseconds = int64(time.Second / 100)

// cpuOf is the CPU time, user and system, that a process has used so far; zero for none.
func cpuOf(process *program) (time.Duration, error) {
	if process == nil {
		return 0, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.command.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a process: %w", err)
	}
	// The name in parentheses may contain anything; utime and stime are the 12th and 13th field behind it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the CPU time of a process: %q", stat)
	}
	var ticks int64
	for _, field := range fields[11:13] {
		count, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of a process: %w", err)
		}
		ticks += count
	}
	return time.Duration(ticks * tickNanoseconds), nil
}

// memory is resident memory in KiB: now, at most since the process began, and what of it no file backs. The rest is the program itself, which the
// kernel drops and reads again as it likes.
type memory struct{ now, peak, anonymous int64 }

func memoryOf(process *program) (memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.command.Process.Pid))
	if err != nil {
		return memory{}, fmt.Errorf("read the memory of a process: %w", err)
	}
	var found memory
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kibibytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "VmRSS":
			found.now = kibibytes
		case "VmHWM":
			found.peak = kibibytes
		case "RssAnon":
			found.anonymous = kibibytes
		}
	}
	return found, nil
}
