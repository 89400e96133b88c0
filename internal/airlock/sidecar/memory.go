// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitFiles are where the kernel says how much memory the container may have: cgroup v2, then v1.
func limitFiles() []string {
	return []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}
}

// collectAt is how much garbage, in percent of what is in use, is collected at. Half of what Go does by itself: airlock makes little garbage but at handshakes,
// and memory is what each pod pays for it.
const collectAt = 50

// LimitMemory has the garbage collector stay below the limit of the container, beyond which the kernel would end the program with all of its connections.
// One tenth is left for what the collector does not see. Given is another limit in bytes, 0: none. What the environment says (GOMEMLIMIT, GOGC) stands.
func LimitMemory(given int64) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if given == 0 && os.Getenv("GOMEMLIMIT") == "" {
		given = containerLimit(limitFiles()) / 10 * 9
	}
	if given > 0 {
		debug.SetMemoryLimit(given)
	}
}

// containerLimit is the first limit that is one; 0: there is none.
func containerLimit(files []string) int64 {
	// cgroup v1 says "no limit" with a number close to the largest one.
	const unlimited = int64(1) << 60
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // The names are those above, and of no one else's choice.
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && limit < unlimited {
			return limit
		}
	}
	return 0
}
